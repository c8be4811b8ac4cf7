"""What several daemons have on one host: own bridges, tables, cgroups, addresses; who ends takes only its own."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.leaks import nft
from tests.fixtures.registry import free_port


def table(engine: Engine) -> str:
    return nft(f"list table ip pydock_{engine.bridge}")


def cgroups(engine: Engine, identifier: str) -> list[str]:
    """The cgroups of one container, below its daemon's own."""
    mark = engine.marks[-1]
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if folder.endswith(f"/{mark}/{identifier}")]


def test_objects_of_two_daemons_on_the_host(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    one, two = fresh_daemon(), fresh_daemon()
    assert one.bridge != two.bridge
    ports, ids, tools = [free_port(), free_port()], [], []
    for engine, port in zip((one, two), ports, strict=True):
        tools.append(Cli("docker", engine.host, tmp_path))
        ids.append(tools[-1]("run", "-d", "-m", "32m", "-p", f"{port}:80", "busybox", "sleep", "60"))
    for engine, port, other, identifier in ((one, ports[0], ports[1], ids[0]), (two, ports[1], ports[0], ids[1])):
        rules = table(engine)
        assert f"tcp . {port} : {engine.gateway.removesuffix('.1')}." in rules
        assert f". {other} :" not in rules
        assert cgroups(engine, identifier)
        assert [link for link in os.listdir(f"/sys/class/net/{engine.bridge}/brif") if link]
        assert len(os.listdir(f"/sys/class/net/{engine.bridge}/brif")) == 1
    assert cgroups(one, ids[1]) == []

    rules = table(two)
    tools[0]("rm", "-f", ids[0])
    assert one.stop() == 0
    assert cgroups(one, ids[0]) == []
    assert f". {ports[0]} :" not in table(one)
    assert table(two) == rules
    assert cgroups(two, ids[1])
    assert tools[1]("exec", ids[1], "ping", "-c1", "-W3", two.gateway)
    one.start()
    assert table(two) == rules


def test_a_port_of_one_is_refused_to_the_other(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    one, two = (Cli("docker", fresh_daemon().host, tmp_path) for _ in range(2))
    port = free_port()
    one("run", "-d", "-p", f"{port}:80", "--name", "web", "busybox", "sleep", "60")
    two.fails("run", "-p", f"{port}:80", "busybox", "true", code=125, message=f"{port}.*(in use|already allocated)")
    one("rm", "-f", "web")
    assert two("run", "--rm", "-p", f"{port}:80", "busybox", "echo", "mine") == "mine"


def test_names_and_images_do_not_mix(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    one, two = (Cli("pydock", fresh_daemon().host, tmp_path) for _ in range(2))
    one("create", "--name", "web", "busybox")
    one("network", "create", "back")
    one("tag", "busybox", "own:1")
    assert two("ps", "-aq") == ""
    assert "back" not in two("network", "ls", "--format", "{{.Name}}").split()
    two.fails("inspect", "own:1", code=1, message="own:1")
    two("create", "--name", "web", "busybox")
    two("network", "create", "back")
    two("network", "rm", "back")
    assert "back" in one("network", "ls", "--format", "{{.Name}}").split()
