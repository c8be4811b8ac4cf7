"""The supervisor's program replaced under a whole engine: by a command, and by a daemon of another release."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

from pydock_client import Client

COUNTER = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; [ $((i % 20)) = 0 ] && sleep 0.01; done; exit 7"


@pytest.fixture
def engine(fresh_daemon: Callable[..., Engine]) -> Engine:
    return fresh_daemon()


def program_of(pid: int) -> str:
    """What is different in each program of a process: where its memory lies."""
    return Path(f"/proc/{pid}/maps").read_text().splitlines()[0]


def test_containers_and_clients_stay(engine: Engine, tmp_path: Path):
    docker, pydock = (Cli(name, engine.host, tmp_path) for name in ("docker", "pydock"))
    docker("run", "-d", "--name", "load", "busybox", "sh", "-c", COUNTER)
    [supervisor] = engine.supervisors()
    with (
        docker.begin("logs", "-f", "load") as following,
        docker.begin("wait", "load") as waiting,
        docker.begin("run", "--rm", "-i", "busybox", "cat") as typing,
    ):
        typing.stdin.write(b"one\n")
        typing.stdin.flush()
        typing.until(b"one")
        for _ in range(3):
            before = program_of(supervisor)
            assert pydock("system", "upgrade").startswith(
                f"The supervisor (process {supervisor}) goes on with release "
            )
            assert program_of(supervisor) != before
            assert docker("run", "--rm", "busybox", "echo", "new") == "new"
        with Client(engine.host) as client:
            assert client.upgrade()["Pid"] == supervisor
        typing.stdin.write(b"two\n")
        typing.stdin.flush()
        typing.until(b"two")
        typing.stdin.close()
        assert typing.wait() == 0
        assert docker("exec", "load", "touch", "/stop") == ""
        assert following.wait() == 0
        waiting.wait()
        assert waiting.output.strip() == b"7"
        lines = docker("logs", "load").splitlines()
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert following.output.decode().splitlines() == lines
    docker("rm", "load")


def test_a_daemon_of_another_release(engine: Engine, tmp_path: Path):
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    [supervisor] = engine.supervisors()
    before = program_of(supervisor)
    engine.stop()
    engine.start()
    assert program_of(supervisor) == before, "the same release"
    engine.stop()
    other = "import pydock_runtime; pydock_runtime.__version__ = '99.0'; from pydock_daemon.app import main; main()"
    engine.program = ["-c", other]
    engine.start()
    eventually(lambda: program_of(supervisor) != before)
    assert docker("exec", "stays", "echo", "alive") == "alive"
    docker("rm", "-f", "stays")
