"""A supervisor killed with -9: containers go on, and what they print, read and return reaches its place."""

import hashlib
import os
import platform
import re
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli, Running
from tests.fixtures.engine import Engine, eventually

COUNTER = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; [ $((i % 20)) = 0 ] && sleep 0.01; done; exit 7"
TELLS_EXIT_CODES = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


@pytest.fixture
def engine(own_daemon: Engine) -> Engine:
    return own_daemon


@pytest.fixture
def docker(engine: Engine, tmp_path: Path) -> Cli:
    return Cli("docker", engine.host, tmp_path)


def replaced(engine: Engine, *containers: str) -> None:
    """Kill the supervisor, which has written down these containers; return when pydockd has another."""
    for container in containers:
        eventually((engine.root / "exec" / "containers" / container / "state.json").exists)
    [old] = engine.supervisors()
    os.kill(old, signal.SIGKILL)
    eventually(lambda: engine.supervisors() not in ([], [old]))


def says(client: Running, word: str) -> None:
    """Let an attached client say something to a container that answers."""
    client.stdin.write(f"{word}\n".encode())
    client.stdin.flush()
    client.until(f"got {word}".encode())


def test_output_waits_for_the_next_one(engine: Engine, docker: Cli):
    load = docker("run", "-d", "--name", "load", "busybox", "sh", "-c", COUNTER)
    listens = "while read x; do echo got $x; done; exit 3"
    listener = docker("run", "-d", "--name", "listener", "-i", "busybox", "sh", "-c", listens)
    eventually(lambda: "line 100" in docker("logs", "load"))
    with (
        docker.begin("logs", "-f", "load") as following,
        docker.begin("wait", "load") as waiting,
        docker.begin("attach", "listener") as attached,
    ):
        says(attached, "first")
        for _ in range(3):
            replaced(engine, load, listener)
            before = len(docker("logs", "load").splitlines())
            eventually(lambda: len(docker("logs", "load").splitlines()) > before + 100)  # noqa: B023 - at once
        assert docker("exec", "load", "echo", "alive") == "alive"
        docker("exec", "load", "touch", "/stop")
        assert following.wait() == 0
        says(attached, "hello")
        waiting.wait()
        assert waiting.output.strip() == (b"7" if TELLS_EXIT_CODES else b"255")
        followed = following.output.decode().split("\n")[:-1]
    lines = docker("logs", "load").splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert followed == lines
    assert docker("inspect", "-f", "{{.State.Running}}", "listener") == "true"
    docker("rm", "-f", "listener", "load")


def test_the_stdin_of_run_goes_on_and_ends_with_the_client(engine: Engine, docker: Cli):
    data = os.urandom(4 << 20)
    begun = "echo begun; dd bs=1000 2>/dev/null | md5sum"
    with docker.begin("run", "-i", "--name", "feeds", "busybox", "sh", "-c", begun) as client:
        client.until(b"begun")
        container = docker("inspect", "-f", "{{.Id}}", "feeds")
        for start in range(0, len(data), 1 << 20):
            client.stdin.write(data[start : start + (1 << 20)])
            replaced(engine, container)
        client.stdin.close()
        assert client.wait() == 0
        assert client.output.split()[1:] == [hashlib.md5(data).hexdigest().encode(), b"-"]
    docker("rm", "feeds")


def test_a_slow_client_gets_whole_frames(engine: Engine, docker: Cli):
    container = docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", COUNTER + " & seq 1 1000000 >&2; wait")
    with engine.api.hijack(f"/containers/{container}/attach?stream=1&stdout=1&stderr=1") as client:
        data = bytearray()
        for _ in range(5):
            docker("exec", "talks", "true")
            replaced(engine, container)
            data += client.recv(100_000)
        docker("exec", "talks", "touch", "/stop")
        while piece := client.recv(1 << 20):
            data += piece
    for stream, piece in whole_frames(bytes(data)):
        assert re.fullmatch(rb"[line 0-9\n]*" if stream == 1 else rb"[0-9\n]*", piece)
    docker("rm", "-f", "talks")


def whole_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        stream, size = struct.unpack_from(">B3xI", data)
        assert stream in (1, 2)
        assert len(data) >= 8 + size
        yield stream, data[8 : 8 + size]
        data = data[8 + size :]


def test_a_terminal(engine: Engine, docker: Cli):
    terminal = docker("run", "-d", "--name", "tty", "-it", "busybox", "sh")
    eventually(lambda: "built-in shell" in docker("logs", "tty"))
    replaced(engine, terminal)
    with docker.terminal("attach", "tty") as attached:
        attached.type(b"echo $((6*7)) && exit 5\n")
        attached.until(b"42")
        assert attached.wait() == 5
    docker("rm", "tty")


@pytest.mark.skipif(not TELLS_EXIT_CODES, reason="before Linux 6.15 nobody but the parent learns an exit code")
def test_an_end_that_no_supervisor_saw(engine: Engine, docker: Cli):
    dies = "trap 'echo last words; exit 9' TERM; while :; do sleep 0.01; done"
    identifier = docker("run", "-d", "--name", "dies", "busybox", "sh", "-c", dies)
    eventually((engine.root / "exec" / "containers" / identifier / "state.json").exists)
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", "dies"))
    [old] = engine.supervisors()
    os.kill(old, signal.SIGKILL)
    os.kill(pid, signal.SIGTERM)
    assert docker("wait", "dies") == "9"
    assert docker("logs", "dies") == "last words"
    docker("rm", "dies")


@pytest.mark.skipif(not TELLS_EXIT_CODES, reason="before Linux 6.15 nobody but the parent learns an exit code")
def test_an_exec_that_runs_and_one_that_ends_meanwhile(engine: Engine, docker: Cli):
    container = docker("run", "-d", "--name", "works", "busybox", "sleep", "1000")
    command = {"Cmd": ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"]}
    exec_ = engine.api.ok("POST", f"/containers/{container}/exec", command)["Id"]
    engine.api.ok("POST", f"/exec/{exec_}/start", {"Detach": True})
    pid = engine.api.ok("GET", f"/exec/{exec_}/json")["Pid"]
    script = "echo begun; until [ -e /go ]; do sleep 0.05; done; echo done; exit 4"
    with docker.begin("exec", "works", "sh", "-c", script) as client:
        client.until(b"begun")
        time.sleep(0.1)  # the supervisor offers what has lived for 20 ms
        [old] = engine.supervisors()
        os.kill(old, signal.SIGKILL)
        os.kill(pid, signal.SIGTERM)

        def state() -> tuple[bool, int | None]:
            found = engine.api.ok("GET", f"/exec/{exec_}/json")
            return found["Running"], found["ExitCode"]

        eventually(lambda: state() == (False, 3))
        docker("exec", "works", "touch", "/go")
        client.until(b"done")
        assert client.wait() == 4
    docker("rm", "-f", "works")


def test_killed_in_the_moment_of_a_start(engine: Engine, docker: Cli):
    identifier = docker("run", "-d", "--name", "young", "busybox", "sleep", "1000")
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", "young"))
    [old] = engine.supervisors()
    os.kill(old, signal.SIGSTOP)
    for record in (engine.root / "exec" / "containers" / identifier).glob("*"):
        record.unlink()  # as if it had not been written yet
    os.kill(old, signal.SIGKILL)
    assert docker("wait", "young") == "255"
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    docker("start", "young")
    docker("rm", "-f", "young")
