"""`--link` on the default network: variables, /etc/hosts, what is refused, and how a link ends."""

import json

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api

SLEEP = ("busybox", "sleep", "1000")
DATABASE = ("run", "-d", "--name", "base", "--expose", "5432", "-e", "SECRET=x=y")


def address_of(cli: Cli, name: str) -> str:
    return cli("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)


def hosts(cli: Cli, name: str) -> list[list[str]]:
    return [line.split() for line in cli("exec", name, "cat", "/etc/hosts").splitlines()]


def links(cli: Cli, name: str) -> list[str]:
    return sorted(json.loads(cli("inspect", "-f", "{{json .HostConfig.Links}}", name)) or [])


def test_a_link_is_a_name_and_variables(cli: Cli):
    cli(*DATABASE, "--hostname", "inner", *SLEEP)
    cli("run", "-d", "--name", "app", "--link", "base:my-db", "--link", "base", *SLEEP)
    address = address_of(cli, "base")
    assert [address, "my-db", "inner", "base"] in hosts(cli, "app")
    assert [address, "base", "inner"] in hosts(cli, "app")
    assert "1 packets received" in cli("exec", "app", "ping", "-c1", "-W3", "my-db")
    variables = set(cli("exec", "app", "env").splitlines())
    assert {
        f"MY_DB_PORT=tcp://{address}:5432",
        f"MY_DB_PORT_5432_TCP=tcp://{address}:5432",
        f"MY_DB_PORT_5432_TCP_ADDR={address}",
        "MY_DB_PORT_5432_TCP_PORT=5432",
        "MY_DB_PORT_5432_TCP_PROTO=tcp",
        "MY_DB_NAME=/app/my-db",
        "MY_DB_ENV_SECRET=x=y",
    } <= variables
    assert links(cli, "app") == ["/base:/app/base", "/base:/app/my-db"]


def test_the_other_one_starts_again_elsewhere(docker: Cli):
    docker(*DATABASE, *SLEEP)
    docker("run", "-d", "--name", "app", "--link", "base:db", *SLEEP)
    before = address_of(docker, "base")
    docker("stop", "-t", "0", "base")
    docker("run", "-d", "--name", "squatter", *SLEEP)
    docker("start", "base")
    after = address_of(docker, "base")
    rows = [row for row in hosts(docker, "app") if "db" in row]
    assert [row[0] for row in rows] == [after]
    assert before != after or address_of(docker, "squatter") != before


def test_what_is_not_there_cannot_be_linked(cli: Cli):
    cli.fails("run", "--link", "nobody:db", "busybox", code=125, message="could not get container for nobody")
    cli("create", "--name", "base", *SLEEP)
    message = "[Cc]annot link to a non running container: /base AS /app/db"
    cli.fails("run", "--name", "app", "--link", "base:db", "busybox", "true", code=125, message=message)
    cli("start", "base")
    assert cli("start", "app") == "app"


@pytest.mark.parametrize(
    ("mode", "words"), [("host", "host type networking"), ("container:base", "container type network")]
)
def test_links_need_a_network_of_ones_own(docker: Cli, mode: str, words: str):
    docker("run", "-d", "--name", "base", *SLEEP)
    message = f"conflicting options: {words} can't be used with links"
    docker.fails("run", "--network", mode, "--link", "base:db", "busybox", code=125, message=message)


def test_a_container_in_the_hosts_network_cannot_be_linked_to(docker: Cli):
    docker("run", "-d", "--name", "base", "--network", "host", *SLEEP)
    message = "conflicting options: host type networking can't be used with links"
    docker.fails("run", "--link", "base:db", "busybox", code=125, message=message)


def test_a_link_ends(cli: Cli):
    cli("run", "-d", "--name", "base", *SLEEP)
    cli("run", "-d", "--name", "app", "--link", "base:db", "--link", "base:other", *SLEEP)
    shown = cli("ps", "--no-trunc", "--filter", "name=base", "--format", "{{.Names}}").split(",")
    assert sorted(shown) == ["app/db", "app/other", "base"]
    assert cli("rm", "--link", "app/db") == "app/db"
    assert not [row for row in hosts(cli, "app") if "db" in row]
    assert links(cli, "app") == ["/base:/app/other"]
    cli.fails("rm", "--link", "app/db", code=1, message="No such container: app/db")
    cli.fails("rm", "--link", "base", code=1, message="cannot remove the default link name of the container")


def test_a_link_ends_with_what_it_led_to(cli: Cli, daemon: Engine | RemoteEngine):
    """In Docker it stays until the daemon starts again, and keeps the container from starting."""
    if isinstance(daemon, RemoteEngine):
        pytest.skip("pydock differs on purpose")
    cli("run", "-d", "--name", "base", *SLEEP)
    cli("run", "-d", "--name", "app", "--link", "base:db", *SLEEP)
    cli("rm", "-f", "base")
    assert links(cli, "app") == []
    assert cli("restart", "-t", "0", "app") == "app"


def test_links_by_the_api(api: Api):
    """docker-py sends `links` as HostConfig.Links."""
    api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "9"]}, name="base")
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Links": ["base:db:x"]}}
    answer = api("POST", "/containers/create", body)
    assert answer.status >= 400  # 500 in Docker
    assert answer.body["message"] == "bad format for links: base:db:x"
