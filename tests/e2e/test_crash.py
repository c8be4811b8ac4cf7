"""pydockd killed with -9 under load and started again: no output and no exit code lost, and all still works."""

import contextlib
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.registry import free_port
from tests.fixtures.web import fetch

COUNTER = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; [ $((i % 50)) = 0 ] && sleep 0.01; done; exit 7"

BATCH = "seq $((i+1)) $((i+5000)); i=$((i+5000))"
FLOOD = f"i=0; while [ ! -e /stop ]; do [ $i = 200000 ] || {{ {BATCH}; }}; sleep 0.05; done; exit 7"
"""Of no more than the log's files hold, however long a slow host takes."""
TRICKLE = "i=0; while [ ! -e /stop ]; do i=$((i+1)); printf %s $i; sleep 0.2; echo; done; exit 8"


@pytest.fixture
def engine(fresh_daemon: Callable[..., Engine]) -> Engine:
    return fresh_daemon()


@pytest.fixture(params=["docker", "pydock"])
def tool(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Cli:
    return Cli(request.param, engine.host, tmp_path)


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_no_line_and_no_exit_code_is_lost(engine: Engine, tool: Cli):
    identifier = tool("run", "-d", "--name", "load", "busybox", "sh", "-c", COUNTER)
    pid = tool("inspect", "-f", "{{.State.Pid}}", "load")
    for _ in range(3):
        time.sleep(0.3)
        engine.kill()
        time.sleep(0.3)
        engine.start()
    assert tool("ps", "-q", "--no-trunc") == identifier
    assert tool("inspect", "-f", "{{.State.Pid}}", "load") == pid
    with tool.begin("logs", "-f", "load") as following, tool.begin("wait", "load") as waiting:
        assert tool("exec", "load", "echo", "alive") == "alive"
        tool.result("exec", "load", "touch", "/stop")
        assert following.wait() == 0
        waiting.wait()
        assert waiting.output.strip() == b"7"
        followed = following.output.decode()
    lines = lines_of(tool("logs", "load"))
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert lines_of(followed) == lines
    assert len(lines) > 100


def test_a_flood_a_trickle_and_who_is_attached(engine: Engine, tmp_path: Path):
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "trickle", "busybox", "sh", "-c", TRICKLE)
    with docker.begin("run", "--name", "flood", "busybox", "sh", "-c", FLOOD) as attached:
        reader = threading.Thread(target=attached.wait)
        reader.start()
        eventually(lambda: docker("ps", "-q", "--filter", "name=flood"))
        for pause in (0.25, 0.35):  # in the middle of a line of the trickle, and of the flood's pieces
            time.sleep(pause)
            engine.kill()
            time.sleep(pause)
            engine.start()
        for name in ("flood", "trickle"):
            docker("exec", name, "touch", "/stop")
        assert [docker("wait", name) for name in ("flood", "trickle")] == ["7", "8"]
        reader.join()
        seen = re.sub('time="[^\n]*\n', "", attached.output.decode())  # the client's complaint about the API
    for name, least in (("flood", 5000), ("trickle", 3)):
        lines = docker("logs", name, timeout=60).splitlines()  # a slow host has many by now
        assert len(lines) >= least
        assert lines == [str(number) for number in range(1, len(lines) + 1)]
    assert seen.split() == docker("logs", "flood", timeout=60).split()


@pytest.mark.parametrize("ended", [False, True])
def test_killed_before_the_start_was_written_down(engine: Engine, tmp_path: Path, ended: bool):
    docker, port = Cli("docker", engine.host, tmp_path), free_port()
    create = ("create", "--name", "web", "-p", f"{port}:80", "busybox")
    docker(*create, "sh", "-c", "echo started; sleep 0.5; exit 9" if ended else "echo started; exec sleep 60")
    engine.kill()
    created = _states(engine)
    engine.start()
    docker("start", "web")
    engine.kill()
    _states(engine, created)
    time.sleep(1 if ended else 0)
    engine.start()
    wanted = "exited 9" if ended else "running 0"
    assert docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web") == wanted
    assert docker("logs", "web") == "started"
    if not ended:
        assert docker("port", "web") == f"80/tcp -> 0.0.0.0:{port}"
        assert docker("exec", "web", "echo", "alive") == "alive"
    docker("rm", "-f", "web")


def _states(engine: Engine, written: list[tuple[str, str]] | None = None) -> list[tuple[str, str]]:
    """The states of the containers in the database of a killed daemon; they are `written` to it when given."""
    with contextlib.closing(sqlite3.connect(engine.root / "data/pydock.db")) as database, database:
        for row in written or ():
            database.execute("update containers set state = ?2 where id = ?1", row)
        return list(database.execute("select id, state from containers"))


def test_exit_while_nobody_looks(engine: Engine, tool: Cli):
    tool("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 1; echo last words; exit 9")
    tool("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "0.5")
    engine.kill()
    time.sleep(1.5)
    engine.start()
    eventually(lambda: tool("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "short") == "exited 9")
    assert tool("logs", "short") == "last words"
    assert tool("wait", "short") == "9"
    eventually(lambda: tool("ps", "-a", "--format", "{{.Names}}") == "short")


def test_attach_stop_and_ports_afterwards(engine: Engine, tool: Cli):
    port = free_port()
    serve = "mkdir /www; echo it works >/www/index.html; httpd -p 80 -h /www; trap 'exit 3' TERM"
    serve += '; while :; do read line && echo "<$line>"; done'
    tool("run", "-di", "-p", f"{port}:80", "--name", "web", "busybox", "sh", "-c", serve)
    eventually(lambda: fetch("127.0.0.1", port) == "it works")
    engine.kill()
    assert fetch("127.0.0.1", port) == "it works"
    engine.start()
    assert fetch("127.0.0.1", port) == "it works"
    with tool.begin("attach", "web") as attached:
        time.sleep(0.5)
        attached.stdin.write(b"still there\n")
        attached.stdin.flush()
        attached.until(b"<still there>\n")
        tool("kill", "-s", "TERM", "web")
        with contextlib.suppress(BrokenPipeError):  # the shell may have ended without one more line
            attached.stdin.write(b"\n")
            attached.stdin.flush()
        attached.wait()
    eventually(lambda: tool("inspect", "-f", "{{.State.ExitCode}}", "web") == "3")
    eventually(lambda: fetch("127.0.0.1", port) == "")


def test_stop_and_remove_afterwards(engine: Engine, tool: Cli):
    tool("run", "-d", "--name", "web", "busybox", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
    time.sleep(0.3)
    engine.kill()
    engine.start()
    tool("stop", "web")
    assert tool("inspect", "-f", "{{.State.ExitCode}}", "web") == "4"
    tool("start", "web")
    tool("rm", "-f", "web")
    assert tool("ps", "-aq") == ""


def test_client_that_is_attached_survives(engine: Engine, tool: Cli):
    script = "echo before; while [ ! -e /go ]; do sleep 0.1; done; echo after; exit 5"
    with tool.begin("run", "--name", "web", "busybox", "sh", "-c", script) as running:
        running.until(b"before\n")
        eventually(lambda: tool("ps", "-q"))
        time.sleep(0.3)  # the answer to the client's start has gone out as well
        engine.kill()
        engine.start()
        tool("exec", "web", "touch", "/go")
        running.until(b"after\n")
    assert tool("wait", "web") == "5"


def test_restart_policy_goes_on(engine: Engine, tool: Cli):
    tool("run", "-d", "--restart", "always", "--name", "up", "busybox", "sh", "-c", "echo run; sleep 0.5")
    tool("run", "-d", "--restart", "always", "--name", "off", "busybox", "sleep", "60")
    tool("stop", "-t", "0", "off")
    engine.kill()
    time.sleep(1)
    engine.start()
    before = tool("logs", "up").count("run")
    eventually(lambda: tool("logs", "up").count("run") > before)


def test_orderly_stop_leaves_containers_running(engine: Engine, tool: Cli):
    tool("run", "-d", "--name", "web", "busybox", "sleep", "60")
    pid = tool("inspect", "-f", "{{.State.Pid}}", "web")
    assert engine.stop() == 0
    assert Path(f"/proc/{pid}").exists()
    engine.start()
    assert tool("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "web") == f"running {pid}"


def test_many_requests_are_cut_off_and_nothing_is_half_there(engine: Engine, tmp_path: Path):
    docker = Cli("docker", engine.host, tmp_path)

    def run(number: int) -> None:
        docker.result("run", "--rm", "--name", f"c{number}", "-p", "80", "busybox", "sh", "-c", "sleep 0.2")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    engine.kill()
    for thread in threads:
        thread.join()
    engine.start()
    eventually(lambda: docker("ps", "-q") == "")
    for name in docker("ps", "-a", "--format", "{{.Names}}").split():
        docker("rm", name)
    assert docker("run", "--rm", "busybox", "echo", "fine") == "fine"
