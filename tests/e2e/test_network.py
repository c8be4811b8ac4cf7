"""Networks from both sides: addresses, published ports reached from everywhere, none/host/container, name files."""

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.registry import free_port
from tests.fixtures.web import fetch, host_address

SERVER = "echo it works >/var/www/index.html; exec httpd -f -p 80 -h /var/www"
HOST_PYTHON = ("-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro")
"""The host's interpreter in a container: busybox has no server that answers datagrams."""
UDP_ECHO = """\
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 53))
while True:
    sock.sendto(*sock.recvfrom(2000))
"""


def serve(cli: Cli, *options: str, name: str = "web") -> str:
    return cli("run", "-d", "--name", name, *options, "busybox", "sh", "-c", f"mkdir -p /var/www; {SERVER}")


def port_of(cli: Cli, name: str = "web", port: str = "80") -> str:
    return cli("port", name, port).splitlines()[0].rsplit(":", 1)[1]


def address_of(cli: Cli, name: str) -> str:
    return cli("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)


def test_address_route_and_gateway(cli: Cli, daemon: Engine | RemoteEngine):
    output = cli(
        "run", "--rm", "busybox", "sh", "-c", "ip -4 -o addr show eth0; ip route; ping -c1 -W3 " + daemon.gateway
    )
    network = daemon.gateway.rsplit(".", 1)[0] if "201" in daemon.gateway else "172.17"
    assert f"inet {network}." in output
    assert f"default via {daemon.gateway} dev eth0" in output
    assert "1 packets received" in output


def test_loopback_is_up(docker: Cli):
    assert "1 packets received" in docker("run", "--rm", "busybox", "ping", "-c1", "-W3", "127.0.0.1")


def test_published_port_from_everywhere(cli: Cli):
    serve(cli, "-p", "80")
    port = port_of(cli)
    eventually(lambda: fetch("127.0.0.1", port) == "it works")
    assert fetch(host_address(), port) == "it works"
    assert fetch(address_of(cli, "web"), 80) == "it works"
    for address in (host_address(), address_of(cli, "web")):
        wanted = port if address == host_address() else "80"
        assert cli("run", "--rm", "busybox", "wget", "-qO-", f"http://{address}:{wanted}/") == "it works"


def test_a_container_reaches_itself_by_its_published_port(docker: Cli):
    serve(docker, "-p", "80")
    port = port_of(docker)
    eventually(lambda: fetch("127.0.0.1", port) == "it works")
    assert docker("exec", "web", "timeout", "5", "wget", "-qO-", f"http://{host_address()}:{port}/") == "it works"


def test_published_on_one_address_only(cli: Cli):
    port = free_port()
    serve(cli, "-p", f"127.0.0.1:{port}:80")
    eventually(lambda: fetch("127.0.0.1", port) == "it works")
    assert fetch(host_address(), port) == ""
    assert cli("port", "web") == f"80/tcp -> 127.0.0.1:{port}"
    assert f"127.0.0.1:{port}->80/tcp" in cli("ps", "--format", "{{.Ports}}")


def test_port_is_free_again_after_the_end(cli: Cli):
    port = free_port()
    for _ in range(2):
        serve(cli, "-p", f"{port}:80")
        eventually(lambda: fetch("127.0.0.1", port) == "it works")
        cli("rm", "-f", "web")
        assert fetch("127.0.0.1", port) == ""


def test_port_in_use(cli: Cli):
    port = free_port()
    serve(cli, "-p", f"{port}:80")
    message = f"Bind for (0.0.0.0|:::?):{port} failed: port is already allocated"
    cli.fails("run", "--name", "second", "-p", f"{port}:80", "busybox", "true", code=125, message=message)
    assert cli("ps", "-a", "--filter", "name=second", "--format", "{{.Status}}") == "Created"


def test_port_in_use_by_another_program(docker: Cli):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = "address already in use|port is already allocated"
        docker.fails("run", "-p", f"{port}:80", "busybox", "true", code=125, message=message)


def test_range_and_all_exposed_ports(cli: Cli):
    serve(cli, "--expose", "80", "--expose", "81-82/udp", "-P")
    rows = sorted(set(re.findall(r"(\d+/\w+) -> 0.0.0.0:\d+", cli("port", "web"))))
    assert rows == ["80/tcp", "81/udp", "82/udp"]
    eventually(lambda: fetch("127.0.0.1", port_of(cli)) == "it works")


@contextlib.contextmanager
def datagrams(address: str, port: str) -> Iterator[socket.socket]:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(1)
        sock.connect((address, int(port)))
        yield sock


def test_published_udp(cli: Cli):
    cli("run", "-d", "--name", "echo", "-p", "53/udp", *HOST_PYTHON, "busybox", "/usr/bin/python3", "-c", UDP_ECHO)
    port = port_of(cli, "echo", "53/udp")
    for address in ("127.0.0.1", host_address()):
        with datagrams(address, port) as sock:
            eventually(lambda sock=sock: answers(sock))


def answers(sock: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        sock.send(b"ping\n")
        return sock.recv(100) == b"ping\n"
    return False


def test_none(cli: Cli):
    output = cli("run", "--rm", "--network", "none", "busybox", "sh", "-c", "ls /sys/class/net; ip route")
    assert "eth0" not in output
    assert "lo" in output.split()
    assert "default" not in output


def test_host(cli: Cli):
    inside = cli("run", "--rm", "--network", "host", "busybox", "sh", "-c", "readlink /proc/self/ns/net; hostname")
    assert inside.split() == [os.readlink("/proc/self/ns/net"), socket.gethostname()]


def test_that_of_another_container(cli: Cli):
    serve(cli)
    eventually(lambda: fetch(address_of(cli, "web"), 80))
    options = ("run", "--rm", "--network", "container:web", "busybox")
    assert cli(*options, "wget", "-qO-", "http://127.0.0.1/") == "it works"
    assert cli(*options, "hostname") == cli("exec", "web", "hostname")
    cli.fails("run", "--network", "container:nosuch", "busybox", code=125, message="No such container: nosuch")


def test_resolv_conf_of_the_host(docker: Cli):
    with open("/etc/resolv.conf") as file:
        servers = [line.split()[1] for line in file if line.startswith("nameserver")]
    inside = docker("run", "--rm", "busybox", "cat", "/etc/resolv.conf")
    assert all(f"nameserver {server}" in inside for server in servers if not server.startswith("127."))


def test_own_name_servers(cli: Cli):
    options = ("--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-option", "ndots:3")
    lines = cli("run", "--rm", *options, "busybox", "cat", "/etc/resolv.conf").splitlines()
    assert {"nameserver 192.0.2.53", "search example.org", "options ndots:3"} <= set(lines)


def test_hosts_file(cli: Cli, daemon: Engine | RemoteEngine):
    options = ("--hostname", "web", "--add-host", "db:192.0.2.7", "--add-host", "up:host-gateway")
    output = cli("run", "--rm", *options, "busybox", "sh", "-c", "cat /etc/hosts; hostname -i")
    *lines, own = output.splitlines()
    rows = [line.split() for line in lines]
    assert ["192.0.2.7", "db"] in rows
    assert [daemon.gateway, "up"] in rows
    assert ["127.0.0.1", "localhost"] in rows
    assert [own, "web"] in rows


def test_mac_and_network_settings_in_inspect(cli: Cli, daemon: Engine | RemoteEngine):
    cli("run", "-d", "--name", "web", "busybox", "sleep", "60")
    settings = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Networks.bridge}}", "web"))
    assert settings["Gateway"] == daemon.gateway
    link = cli("exec", "web", "ip", "addr", "show", "eth0")
    assert settings["IPAddress"] in link
    assert settings["MacAddress"] in link
    cli("kill", "web")
    eventually(lambda: address_of(cli, "web") in ("", "invalid IP"))


def test_network_commands(cli: Cli):
    identifier = cli("network", "create", "--label", "a=b", "back")
    assert cli("network", "ls", "-q", "--no-trunc", "--filter", "name=back") == identifier
    assert {"bridge", "host", "none", "back"} <= set(cli("network", "ls", "--format", "{{.Name}}").split())
    cli("run", "-d", "--name", "db", "--network", "back", "busybox", "sleep", "60")
    message = "has active endpoints"
    cli.fails("network", "rm", "back", code=1, message=message)
    containers = json.loads(cli("network", "inspect", "-f", "{{json .Containers}}", "back"))
    assert [container["Name"] for container in containers.values()] == ["db"]
    cli("rm", "-f", "db")
    assert cli("network", "rm", "back") == "back"
    cli.fails("network", "inspect", "back", code=1, message="network back not found|No such network: back")


def test_own_networks_keep_apart(docker: Cli):
    for name in ("red", "blue"):
        docker("network", "create", name)
        serve(docker, "--network", name, name=f"in-{name}")
    red, blue = address_of(docker, "in-red"), address_of(docker, "in-blue")
    assert red.rsplit(".", 1)[0] != blue.rsplit(".", 1)[0] or red != blue
    eventually(lambda: fetch(red, 80) == "it works")

    def reach(address: str) -> str:
        script = f"timeout 2 wget -qO- http://{address}/; true"
        return docker("run", "--rm", "--network", "red", "busybox", "sh", "-c", script)

    assert (reach(red), reach(blue)) == ("it works", "")


def test_subnet_and_address_asked_for(docker: Cli):
    docker("network", "create", "--subnet", "10.203.7.0/24", "--gateway", "10.203.7.9", "fixed")
    docker("run", "-d", "--name", "web", "--network", "fixed", "--ip", "10.203.7.77", "busybox", "sleep", "60")
    assert docker("exec", "web", "sh", "-c", "hostname -i; ip route").splitlines()[0] == "10.203.7.77"
    assert "default via 10.203.7.9" in docker("exec", "web", "ip", "route")


def test_many_at_once_get_addresses_of_their_own(docker: Cli):
    for number in range(8):
        docker("create", "--name", f"many{number}", "busybox", "sleep", "60")
    docker("start", *(f"many{number}" for number in range(8)))
    addresses = {address_of(docker, f"many{number}") for number in range(8)}
    assert len(addresses) == 8


def test_container_waits_for_nobody_when_the_host_is_asked_for_a_closed_port(
    docker: Cli, daemon: Engine | RemoteEngine
):
    begun = time.monotonic()
    closed = free_port()
    result = docker.result(
        "run", "--rm", "busybox", "timeout", "5", "wget", "-qO-", f"http://{daemon.gateway}:{closed}/"
    )
    assert "refused" in result.stderr
    assert time.monotonic() - begun < 5
