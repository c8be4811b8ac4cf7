"""A start that fails takes everything back: link, address, nft element, cgroup, mount, supervised process."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.leaks import LOOKS, nft
from tests.fixtures.registry import free_port


def rules(daemon: Engine | RemoteEngine) -> str:
    return nft(f"list table ip pydock_{daemon.bridge}")


def owned(daemon: Engine | RemoteEngine) -> set[str]:
    """What of the host's objects is a daemon's."""
    if not isinstance(daemon, Engine):
        return set()
    links = set(os.listdir(f"/sys/class/net/{daemon.bridge}/brif"))
    found = {name for kind in ("mount", "link", "cgroup", "nft table", "process") for name in LOOKS[kind]()}
    return links | {name for name in found if any(mark in name for mark in daemon.marks)}


@pytest.fixture
def intact(cli: Cli, daemon: Engine | RemoteEngine) -> Iterator[None]:
    """The host has what it had before, and the daemon its rules, when the test ends: before its containers go."""
    cli("run", "--rm", "busybox", "true")  # brings the supervisor and the cgroup above all
    before, table = owned(daemon), rules(daemon)
    yield
    eventually(lambda: owned(daemon) <= before, timeout=5)
    assert rules(daemon) == table


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("nosuch", 127, 'exec: "nosuch": executable file not found in \\$PATH'),
        ("/nosuch", 127, "/nosuch.*no such file or directory"),
        ("/etc/passwd", 126, "/etc/passwd.*permission denied"),
        ("/tmp", 126, "/tmp.*(is a directory|permission denied)"),
    ],
)
def test_program_that_cannot_start(cli: Cli, intact: None, command: str, code: int, message: str):
    port = free_port()
    options = ("--name", "web", "-p", f"{port}:80", "-m", "32m", "-v", "data:/data")
    cli.fails("run", *options, "busybox", command, code=code, message=message)
    assert cli("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}", "web") == f"created {code} 0"
    with contextlib.closing(socket.socket()) as free:
        free.bind(("0.0.0.0", port))
    cli.fails("run", "--rm", "--name", "other", *options[2:], "busybox", command, code=code, message=message)
    assert cli("ps", "-a", "--format", "{{.Names}}") == "web"


@pytest.mark.parametrize("by", ["container", "program"])
def test_port_that_is_taken(cli: Cli, daemon: Engine | RemoteEngine, by: str):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("0.0.0.0", 0))
        port = int(taken.getsockname()[1])
        if by == "program":
            taken.listen()
        else:
            taken.close()
            cli("run", "-d", "-p", f"{port}:80", "busybox", "sleep", "60")
        before = rules(daemon)
        cli.fails("run", "--rm", "-p", f"{port}:80", "busybox", "true", code=125, message=f"{port}")
        cli.fails("run", "--name", "second", "-p", f"{port}:80", "busybox", "true", code=125, message=f"{port}")
        assert rules(daemon) == before
        assert cli("ps", "-a", "--filter", "status=created", "--format", "{{.Names}}") == "second"
        assert cli("ps", "-q").count("\n") == 0
    for identifier in cli("ps", "-q").split():
        cli("rm", "-f", identifier)
    cli("start", "second")
    assert cli("wait", "second") == "0"


def test_second_port_of_two_is_taken(cli: Cli, intact: None):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        pairs = ("-p", f"{free_port()}:80", "-p", f"{taken.getsockname()[1]}:81")
        cli.fails("run", "--rm", *pairs, "busybox", "true", code=125, message=str(taken.getsockname()[1]))
    assert cli("ps", "-aq") == ""
    assert cli("run", "--rm", *pairs, "busybox", "echo", "now") == "now"


def test_source_that_is_gone_at_the_start(cli: Cli, intact: None, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    cli("create", "--name", "web", "--mount", f"type=bind,src={source},dst=/x", "busybox", "ls", "/x")
    source.rmdir()
    cli.fails("start", "web", code=1, message=str(source))
    assert cli("inspect", "-f", "{{.State.Status}}", "web") in ("created", "exited")
    source.mkdir()
    cli("start", "web")
    assert cli("wait", "web") == "0"


def test_image_that_nobody_serves(cli: Cli, intact: None):
    name = "127.0.0.1:1/nobody/home:1"
    error = cli.fails("run", "--name", "web", name, code=125, message="connection refused|cannot connect")
    assert f"Unable to find image '{name}' locally" in error
    assert cli("ps", "-aq") == ""
