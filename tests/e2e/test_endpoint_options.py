"""What is asked of an interface: driver options, addresses of the link, at the start and while the container runs."""

from tests.fixtures.cli import Cli
from tests.fixtures.http import Api

MARTIANS = "net.ipv4.conf.IFNAME.log_martians=1"


def test_parameters_of_an_interface(pydock: Cli, daemon: object):
    pydock("network", "create", "one")
    option = f"driver-opt=com.docker.network.endpoint.sysctls={MARTIANS}"
    pydock("run", "-d", "--name", "web", "--network", f"name=one,{option}", "busybox", "sleep", "600")
    assert pydock("exec", "web", "cat", "/proc/sys/net/ipv4/conf/eth0/log_martians") == "1"
    pydock("network", "create", "two")
    option = f"com.docker.network.endpoint.sysctls={MARTIANS}"
    pydock("network", "connect", "--driver-opt", option, "two", "web")
    assert pydock("exec", "web", "cat", "/proc/sys/net/ipv4/conf/eth1/log_martians") == "1"
    assert pydock("exec", "web", "cat", "/proc/sys/net/ipv4/conf/lo/log_martians") == "0"
    bad = "net.ipv4.conf.IFNAME.no_such=1"
    option = f"driver-opt=com.docker.network.endpoint.sysctls={bad}"
    words = "failed to set sysctl 'net.ipv4.conf.ifname.no_such=1': no such file or directory|no_such=1"
    pydock.fails("run", "--rm", "--network", f"name=one,{option}", "busybox", code=127, message=words)


def test_the_name_of_an_interface(api: Api, pydock: Cli):
    pydock("network", "create", "one")
    pydock("network", "create", "two")
    asked = {"one": {}, "two": {"DriverOpts": {"com.docker.network.endpoint.ifname": "eth0"}}}
    body = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "one"}}
    made = api.ok("POST", "/containers/create", body | {"NetworkingConfig": {"EndpointsConfig": asked}}, name="web")
    assert made["Warnings"] == []
    pydock("start", "web")
    addresses = pydock("inspect", "-f", "{{.NetworkSettings.Networks.two.IPAddress}}", "web")
    assert f"inet {addresses}/" in pydock("exec", "web", "ip", "addr", "show", "eth0")
    assert "inet " in pydock("exec", "web", "ip", "addr", "show", "eth1")


def test_addresses_of_the_link(cli: Cli):
    cli("network", "create", "one")
    asked = ("--network", "one", "--link-local-ip", "169.254.8.8", "--link-local-ip", "fe80::99")
    cli("run", "-d", "--name", "web", *asked, "busybox", "sleep", "600")
    shown = cli("exec", "web", "ip", "addr", "show", "eth0")
    assert "inet 169.254.8.8/16" in shown
    assert "inet6 fe80::99/64" in shown
    shown = cli("inspect", "-f", "{{json .NetworkSettings.Networks.one.IPAMConfig.LinkLocalIPs}}", "web")
    assert shown == '["169.254.8.8","fe80::99"]'
    cli.fails(
        "run", "--rm", "--network", "one", "--link-local-ip", "10.0.0.8", "busybox", code=125,
        message="invalid link local IP address: 10.0.0.8",
    )  # fmt: skip


def test_interfaces_of_a_network_that_names_them(cli: Cli):
    cli("network", "create", "-o", "com.docker.network.container_iface_prefix=lan", "one")
    cli("network", "create", "two")
    cli("run", "-d", "--name", "web", "--network", "one", "busybox", "sleep", "600")
    cli("network", "connect", "two", "web")
    names = cli("exec", "web", "ls", "/sys/class/net").split()
    assert "lan0" in names
    assert {"eth0", "eth1"} & set(names)
    bad = ("-o", "com.docker.network.container_iface_prefix=a/b", "bad")
    message = "invalid value for com.docker.network.container_iface_prefix"
    cli.fails("network", "create", *bad, code=1, message=message)
