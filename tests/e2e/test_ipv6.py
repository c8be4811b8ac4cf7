"""Networks with IPv6 beside IPv4, through both command lines."""

import json
import re

from tests.fixtures.cli import Cli
from tests.fixtures.engine import eventually
from tests.fixtures.registry import free_port

SLEEP = ("busybox", "sleep", "1000")
SUBNET = "fd00:213:8::"


def test_a_network_with_both_families(cli: Cli):
    cli("network", "create", "--ipv6", "--subnet", f"{SUBNET}/64", "--gateway", f"{SUBNET}9", "wide")
    cli("run", "-d", "--name", "web", "--network", "wide", "--ip6", f"{SUBNET}77", *SLEEP)
    cli("run", "-d", "--name", "visitor", *SLEEP)
    cli("network", "connect", "wide", "visitor")
    shown = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Networks.wide}}", "web"))
    assert (shown["GlobalIPv6Address"], shown["GlobalIPv6PrefixLen"]) == (f"{SUBNET}77", 64)
    assert shown["IPv6Gateway"] == f"{SUBNET}9"
    network = json.loads(cli("network", "inspect", "wide"))[0]
    assert network["EnableIPv6"] is True
    assert f"{SUBNET}/64" in [config["Subnet"] for config in network["IPAM"]["Config"]]
    members = {member["Name"]: member["IPv6Address"] for member in network["Containers"].values()}
    assert members["web"] == f"{SUBNET}77/64"
    assert f"default via {SUBNET}9 dev eth0" in cli("exec", "web", "ip", "-6", "route")
    assert f"default via {SUBNET}9 dev eth1" in cli("exec", "visitor", "ip", "-6", "route")
    assert "1 packets received" in cli("exec", "visitor", "ping", "-6", "-c1", "-W3", "web")
    cli("network", "disconnect", "wide", "visitor")
    assert "default" not in cli("exec", "visitor", "ip", "-6", "route")


def test_ports_on_both_families(cli: Cli):
    port = free_port()
    cli("network", "create", "--ipv6", "--subnet", f"{SUBNET}/64", "wide")
    cli("run", "-d", "--name", "web", "--network", "wide", "-p", f"{port}:80", *SLEEP)
    assert cli("port", "web", "80").splitlines() == [f"0.0.0.0:{port}", f"[::]:{port}"]
    shown = cli("ps", "--format", "{{.Ports}}", "--filter", "name=web")
    assert re.fullmatch(rf"0\.0\.0\.0:{port}->80/tcp, (\[::\]|::):{port}->80/tcp", shown)
    bindings = json.loads(cli("inspect", "-f", '{{json (index .NetworkSettings.Ports "80/tcp")}}', "web"))
    assert bindings == [{"HostIp": "0.0.0.0", "HostPort": str(port)}, {"HostIp": "::", "HostPort": str(port)}]
    cli("rm", "-f", "web")
    serve = ("sh", "-c", "mkdir /www; echo here >/www/index.html; exec httpd -f -p 80 -h /www")
    cli("run", "-d", "--name", "web", "--network", "wide", "-p", f"[::]:{port}:80", "busybox", *serve)
    gateway = f"http://[{SUBNET}1]:{port}/"
    script = ("run", "--rm", "--network", "wide", "busybox", "wget", "-qO-", gateway)
    eventually(lambda: cli.result(*script).stdout.strip() == "here")
