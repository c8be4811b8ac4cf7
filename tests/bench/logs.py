"""What a container's output costs: written to its log, and read back through the API. Used by `rows`.

One container prints lines of a hundred bytes as fast as it can, into a `json-file` that is not rotated.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.bench.engines import Side, seconds_of_cpu
from tests.fixtures.engine import eventually

MEGABYTES = 500
SCRIPT = f"""
yes {"x" * 99} | head -c 10000000 >/lines
until [ -e /go ]; do sleep 0.05; done
for i in $(seq {MEGABYTES // 10}); do cat /lines; done
echo END
sleep 1000
"""


class Cost(NamedTuple):
    """Megabytes a second, and seconds of the engine's processors a gigabyte."""

    speed: float
    cpu: float


def written(side: Side) -> Cost:
    """What it costs until the last line can be read."""
    with _printer(side) as name:
        return _cost(side, name, lambda: _print(side, name))


def read(side: Side) -> Cost:
    """What it costs to get all of it back."""
    with _printer(side) as name:
        _print(side, name)
        return _cost(side, name, lambda: _read(side, name))


@contextlib.contextmanager
def _printer(side: Side) -> Iterator[str]:
    host = {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"max-size": "1g"}}}
    body = {"Image": "busybox", "Cmd": ["sh", "-c", SCRIPT], "HostConfig": host}
    name: str = side.api.ok("POST", "/containers/create", body)["Id"]
    try:
        side.api.ok("POST", f"/containers/{name}/start")
        yield name
    finally:
        side.api.ok("DELETE", f"/containers/{name}", force="1")


def _print(side: Side, name: str) -> None:
    made = side.api.ok("POST", f"/containers/{name}/exec", {"Cmd": ["touch", "/go"]})
    side.api.ok("POST", f"/exec/{made['Id']}/start", {"Detach": True})
    eventually(lambda: "END" in side.api.ok("GET", f"/containers/{name}/logs", stdout="1", tail="1"), timeout=120)


def _read(side: Side, name: str) -> None:
    """Take in the raw answer: a client that takes chunks apart costs more than the engine."""
    total, end = 0, b""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(side.socket)
        sock.sendall(f"GET /containers/{name}/logs?stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not end.endswith(b"\r\n0\r\n\r\n"):
            piece = sock.recv(1 << 20)
            assert piece, "the engine closed the connection"
            total += len(piece)
            end = (end + piece)[-7:]
    assert total > MEGABYTES * 1_000_000, total


def _cost(side: Side, name: str, work: Callable[[], None]) -> Cost:
    begun, used = time.perf_counter(), seconds_of_cpu(side, name)
    work()
    seconds = time.perf_counter() - begun
    return Cost(MEGABYTES / seconds, (seconds_of_cpu(side, name) - used) * 1000 / MEGABYTES)
