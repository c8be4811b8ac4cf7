"""A daemon that is told to stop while clients ask: it ends at once, what has begun is ended, containers go on."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

STALLED = (
    "GET /events",
    "GET /containers/web/logs?follow=1&stdout=1",
    "GET /containers/web/stats",
    "GET /containers/web/export",
    "POST /containers/web/wait",
    "PUT /containers/web/archive?path=/",
    "POST /images/load",
    "POST /containers/create",
    "POST /build",
)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a registry that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_nobody_holds_it_up(fresh_daemon: Callable[..., Engine], silent: int, tmp_path: Path):
    engine = fresh_daemon()
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "web", "busybox", "sh", "-c", "while :; do echo line; sleep 0.01; done")
    with contextlib.ExitStack() as stack:
        for head in (*STALLED, f"POST /images/create?fromImage=localhost:{silent}/image&tag=1"):
            sock = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            sock.connect(engine.socket)
            length = 0 if head.startswith("GET") or "/wait" in head or "fromImage" in head else 1000
            sock.sendall(
                f"{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * (length // 2)
            )
        engine.api("GET", "/_ping")  # all of them have been read
        began = time.monotonic()
        assert engine.stop() == 0
        assert time.monotonic() - began < 3
    engine.start()
    assert docker("exec", "web", "echo", "alive") == "alive"
    assert "Traceback" not in engine.log.read_text()


def test_a_change_that_has_begun_is_ended(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    engine = fresh_daemon()
    docker = Cli("docker", engine.host, tmp_path)
    script = "trap 'echo told; sleep 1; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    docker("run", "-d", "--name", "web", "busybox", "sh", "-c", script)
    eventually(lambda: docker("logs", "web") == "up")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(docker.result, "stop", "web")
        eventually(lambda: "told" in docker("logs", "web"))
        engine.stop()
        assert stopping.result().returncode == 0
    engine.start()
    assert docker("inspect", "-f", "{{.State.ExitCode}}", "web") == "7"
