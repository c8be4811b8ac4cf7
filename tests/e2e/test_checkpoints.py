"""Docker's checkpoints, of a daemon that is experimental, by both command lines and the SDK."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.criu import needed
from tests.fixtures.engine import Engine, eventually

from pydock_client import Client

COUNT = "n=0; trap 'exit 7' TERM; while :; do n=$((n+1)); echo $n; usleep 50000; done"


@pytest.fixture
def criu() -> None:
    """A criu that works."""
    needed()


def numbers(cli: Cli, name: str) -> list[int]:
    """What a container has counted."""
    return [int(line) for line in cli("logs", name).split()]


def state(cli: Cli, name: str) -> tuple[str, int]:
    """The status and exit code of a container."""
    found = json.loads(cli("inspect", name))[0]["State"]
    return found["Status"], found["ExitCode"]


@pytest.mark.usefixtures("criu")
def test_a_container_goes_on_where_its_checkpoint_was_made(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon("--experimental")
    for program in ("docker", "pydock"):
        cli, name = Cli(program, engine.host, tmp_path), f"web-{program}"
        limits = ("--memory", "64m", "--tmpfs", "/kept", "-v", f"{tmp_path}:/host:ro", "-p", "80")
        cli("run", "-d", "--name", name, *limits, "busybox", "sh", "-c", f"echo here >/kept/file; {COUNT}")
        eventually(lambda cli=cli, name=name: len(numbers(cli, name)) > 2)
        cli("checkpoint", "create", "--leave-running", name, "first")
        assert state(cli, name) == ("running", 0)
        assert cli("checkpoint", "create", name, "second") == "second"
        assert state(cli, name) == ("exited", 137)
        assert cli("checkpoint", "ls", name).split()[2:] == ["first", "second"]
        before = numbers(cli, name)

        cli("start", "--checkpoint", "second", name)
        eventually(lambda cli=cli, name=name, before=before: len(numbers(cli, name)) > len(before) + 2)
        assert numbers(cli, name)[: len(before) + 3] == [*before, *range(before[-1] + 1, before[-1] + 4)]
        shown = cli(
            "exec", name, "sh", "-c", "cat /kept/file; hostname -i; wc -l </etc/hosts; touch /host/x || echo no"
        )
        address = json.loads(cli("inspect", name))[0]["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        assert shown.split()[:2] == ["here", address]
        assert shown.endswith("no")
        assert json.loads(cli("inspect", name))[0]["NetworkSettings"]["Ports"]["80/tcp"]
        assert "64MiB" in cli("stats", "--no-stream", "--format", "{{.MemUsage}}", name)
        cli("stop", name)
        assert state(cli, name) == ("exited", 7)
        cli("checkpoint", "rm", name, "second")
        assert cli("checkpoint", "ls", name).split()[2:] == ["first"]


@pytest.mark.usefixtures("criu")
def test_a_restored_terminal_outlives_the_daemon(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon("--experimental")
    cli, folder = Cli("docker", engine.host, tmp_path), str(tmp_path / "kept")
    script = "echo begun; while read line; do echo got $line; done"
    cli("run", "-dit", "--name", "asks", "busybox", "sh", "-c", script)
    eventually(lambda: "begun" in cli("logs", "asks"))
    client = Client(engine.host)
    container = client.containers.get("asks")
    container.checkpoint("one", directory=folder)
    assert container.checkpoints(folder) == ["one"]
    assert container.checkpoints() == []
    container.start(checkpoint="one", checkpoint_dir=folder)
    engine.kill()
    engine.start()
    with cli.terminal("attach", "asks") as terminal:
        terminal.type(b"a line\n")
        terminal.until(b"got a line")
    cli("kill", "asks")
    assert state(cli, "asks") == ("exited", 137)
    container.remove_checkpoint("one", directory=folder)
    assert container.checkpoints(folder) == []


@pytest.mark.usefixtures("criu")
def test_a_start_from_what_is_no_checkpoint_fails_with_criu_s_reasons(
    fresh_daemon: Callable[..., Engine], tmp_path: Path
):
    engine = fresh_daemon("--experimental")
    cli = Cli("docker", engine.host, tmp_path)
    cli("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    folder = tmp_path / "kept"
    cli("checkpoint", "create", "--checkpoint-dir", str(folder), "web", "one")
    (folder / "one" / "pstree.img").write_bytes(b"nonsense")
    done = cli.result("start", "--checkpoint-dir", str(folder), "--checkpoint", "one", "web")
    assert (done.returncode, "criu failed: type RESTORE" in done.stderr) == (1, True)
    assert "pstree.img" in done.stderr
    cli("start", "web")
    assert state(cli, "web") == ("running", 0)


def test_what_cannot_be_is_told(
    fresh_daemon: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "criu").write_text("#!/bin/sh\n")
    (tmp_path / "criu").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    engine = fresh_daemon("--experimental")
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    id = json.loads(docker("inspect", "web"))[0]["Id"]
    none = "checkpoint one does not exist for container web"
    for status, message, arguments in (
        (500, "Cannot checkpoint container web: criu ended without an answer", ("create", "web", "one")),
        (400, "Invalid checkpoint ID (../x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", ("create", "web", "../x")),
        (400, "checkpoint directory here is not absolute", ("create", "--checkpoint-dir", "here", "web", "one")),
        (404, none, ("rm", "web", "one")),
    ):
        done = docker.result("checkpoint", *arguments)
        assert done.stderr == f"Error response from daemon: {message}\n"
        if arguments[0] == "create":
            body = {"CheckpointID": arguments[-1], "CheckpointDir": arguments[2] if len(arguments) > 3 else ""}
            assert engine.api("POST", "/containers/web/checkpoints", body).status == status
    assert engine.api("POST", "/containers/web/start?checkpoint=one").status == 404
    assert engine.api.ok("GET", "/containers/web/checkpoints") == []
    assert state(docker, "web") == ("running", 0)
    docker("kill", "web")
    assert docker.result("checkpoint", "create", "web", "one").stderr.endswith(f"container {id} is not running\n")
    assert engine.api("GET", "/_ping").headers["docker-experimental"] == "true"
    assert engine.api.ok("GET", "/info")["ExperimentalBuild"] is True
    assert engine.api.ok("GET", "/version")["Experimental"] is True
