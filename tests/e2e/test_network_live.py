"""Networks of containers that run: connect and disconnect, several networks, the default route, published ports."""

import json

import docker
import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api
from tests.fixtures.registry import free_port
from tests.fixtures.web import fetch

from pydock_client import Client

SERVE = ("sh", "-c", "mkdir /www; echo here >/www/index.html; exec httpd -f -p 80 -h /www")


def addresses(cli: Cli, name: str) -> dict[str, str]:
    shown = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Networks}}", name))
    return {network: entry["IPAddress"] for network, entry in shown.items()}


def links(cli: Cli, name: str) -> list[str]:
    return cli("exec", name, "ls", "/sys/class/net").split()


def gateway(cli: Cli, name: str) -> str:
    return cli("exec", name, "sh", "-c", "ip route | sed -n 's/^default via .* dev //p'").strip()


@pytest.fixture
def two_networks(cli: Cli) -> None:
    cli("network", "create", "one")
    cli("network", "create", "two")


def test_a_running_container_comes_and_goes(cli: Cli, two_networks: None):
    cli("run", "-d", "--name", "web", "--network", "one", "busybox", *SERVE)
    cli("run", "-d", "--name", "visitor", "--network", "two", "busybox", "sleep", "1000")
    cli("network", "connect", "two", "web")
    found = addresses(cli, "web")
    assert set(found) == {"one", "two"}
    assert links(cli, "web") == ["eth0", "eth1", "lo"]
    assert f"inet {found['two']}/" in cli("exec", "web", "ip", "-4", "-o", "addr", "show", "eth1")
    assert found["two"] in cli("exec", "web", "cat", "/etc/hosts")
    eventually(lambda: cli.result("exec", "visitor", "wget", "-qO-", "http://web").stdout.strip() == "here")
    members = json.loads(cli("network", "inspect", "-f", "{{json .Containers}}", "two"))
    assert sorted(member["Name"] for member in members.values()) == ["visitor", "web"]
    cli("network", "disconnect", "two", "web")
    assert set(addresses(cli, "web")) == {"one"}
    assert links(cli, "web") == ["eth0", "lo"]
    assert cli.result("exec", "visitor", "ping", "-c1", "-W1", found["two"]).returncode != 0
    cli("network", "connect", "two", "web")
    assert len(links(cli, "web")) == 3  # Docker counts on


def test_what_was_changed_holds_after_a_restart(cli: Cli, two_networks: None):
    cli("run", "-d", "--name", "web", "--network", "one", "busybox", *SERVE)
    cli("network", "connect", "--alias", "www", "two", "web")
    cli("network", "disconnect", "one", "web")
    assert links(cli, "web") == ["eth1", "lo"]
    assert gateway(cli, "web") == "eth1"
    cli("restart", "-t", "0", "web")
    assert set(addresses(cli, "web")) == {"two"}
    assert links(cli, "web") == ["eth0", "lo"]
    cli("network", "disconnect", "two", "web")
    assert links(cli, "web") == ["lo"]
    assert addresses(cli, "web") == {}
    cli("restart", "-t", "0", "web")
    assert links(cli, "web") == ["lo"]


def test_an_address_and_aliases_of_ones_own(cli: Cli):
    cli("network", "create", "--subnet", "10.213.7.0/24", "planned")
    cli("run", "-d", "--name", "web", "busybox", *SERVE)
    cli("run", "-d", "--name", "visitor", "--network", "planned", "busybox", "sleep", "1000")
    cli("network", "connect", "--ip", "10.213.7.77", "--alias", "shop", "planned", "web")
    assert addresses(cli, "web")["planned"] == "10.213.7.77"
    eventually(lambda: cli.result("exec", "visitor", "wget", "-qO-", "http://shop").stdout.strip() == "here")
    cli.fails("network", "connect", "planned", "web", code=1, message="already exists in network planned")
    cli("run", "-d", "--name", "other", "busybox", "sleep", "1000")
    cli.fails("network", "connect", "--ip", "10.213.7.77", "planned", "other", code=1, message="Address already in use")
    assert links(cli, "other") == ["eth0", "lo"]


def test_published_ports_follow_the_default_route(cli: Cli, two_networks: None):
    port = free_port()
    cli("run", "-d", "--name", "web", "--network", "one", "-p", f"{port}:80", "busybox", *SERVE)
    eventually(lambda: fetch("127.0.0.1", port) == "here")
    cli("network", "connect", "two", "web")
    cli("network", "disconnect", "one", "web")
    eventually(lambda: fetch("127.0.0.1", port) == "here")
    assert cli("port", "web", "80").endswith(f":{port}")


def test_several_networks_from_the_start(cli: Cli, api: Api, two_networks: None):
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "one"},
        "NetworkingConfig": {"EndpointsConfig": {"one": {}, "two": {"Aliases": ["second"]}}},
    }
    api.ok("POST", "/containers/create", body, name="both")
    cli("start", "both")
    assert links(cli, "both") == ["eth0", "eth1", "lo"]
    assert set(addresses(cli, "both")) == {"one", "two"}


def test_a_paused_container(docker: Cli, two_networks: None):
    docker("run", "-d", "--name", "web", "--network", "one", "busybox", "sleep", "1000")
    docker("pause", "web")
    docker("network", "connect", "two", "web")
    docker("network", "disconnect", "one", "web")
    docker("unpause", "web")
    assert links(docker, "web") == ["eth1", "lo"]
    assert gateway(docker, "web") == "eth1"


def test_what_cannot_be(cli: Cli, two_networks: None):
    cli("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    cli("run", "-d", "--name", "free", "--network", "host", "busybox", "sleep", "1000")
    cli("run", "-d", "--name", "guest", "--network", "container:web", "busybox", "sleep", "1000")
    words = "cannot be disconnected from host network or connected to host network"
    cli.fails("network", "connect", "host", "web", code=1, message=words)
    cli.fails("network", "disconnect", "host", "free", code=1, message=words)
    cli.fails("network", "connect", "one", "free", code=1, message="or host cannot be connected to any other network")
    cli.fails("network", "connect", "one", "guest", code=1, message="sharing network namespace with another container")
    cli.fails("network", "disconnect", "one", "web", code=1, message="is not connected to network one")
    cli.fails("network", "connect", "none-such", "web", code=1, message="network none-such not found")
    cli.fails("network", "connect", "one", "nobody", code=1, message="No such container: nobody")
    cli.fails("network", "connect", "none", "web", code=1, message="private \\(none\\) mode")


def test_events(cli: Cli, api: Api, two_networks: None):
    cli("run", "-d", "--name", "web", "--network", "one", "busybox", "sleep", "1000")
    begun = api.ok("GET", "/info")["SystemTime"]
    cli("network", "connect", "two", "web")
    cli("network", "disconnect", "two", "web")
    ended = api.ok("GET", "/info")["SystemTime"]
    shown = ("--filter", "type=network", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
    assert cli("events", "--since", begun, "--until", ended, *shown).splitlines()[:2] == [
        "connect two",
        "disconnect two",
    ]


def test_docker_py(client: docker.DockerClient):
    made = client.networks.create("pets")
    dog = client.containers.run("busybox", "sleep 1000", name="dog", network="pets", detach=True)
    cat = client.containers.run("busybox", "sleep 1000", name="cat", detach=True)
    made.connect(cat, aliases=["kitty"], links=[("dog", "enemy")])
    made.reload()
    assert {item.name for item in made.containers} == {"cat", "dog"}
    assert cat.exec_run(["ping", "-c1", "-W3", "enemy"]).exit_code == 0
    assert dog.exec_run(["ping", "-c1", "-W3", "kitty"]).exit_code == 0
    made.disconnect("cat", force=True)
    made.reload()
    assert {item.name for item in made.containers} == {"dog"}


def test_our_own_library(client: docker.DockerClient, daemon: Engine | RemoteEngine):
    client.containers.run("busybox", "sleep 1000", name="cat", detach=True)
    with Client(daemon.host) as ours:
        made = ours.networks.create("pets")
        made.connect("cat", Aliases=["kitty"])
        assert [member["Name"] for member in ours.networks.get("pets").attributes["Containers"].values()] == ["cat"]
        assert "pets" not in (ours.networks.prune()["NetworksDeleted"] or ())
        made.disconnect("cat", force=True)
        assert "pets" in ours.networks.prune()["NetworksDeleted"]
