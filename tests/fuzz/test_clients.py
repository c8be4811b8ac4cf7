"""Clients that stop in the middle, of a request or of an answer, and a thousand at once: nothing of them stays."""

import contextlib
import random
import resource
import selectors
import socket
import time

import pytest
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fuzz.conftest import MANY

PRINTS = "while :; do echo line; sleep 0.01; done"
WHOLE = (
    b"GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /containers/web/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /containers/web/stats HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /containers/web/export HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /containers/web/archive?path=/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /images/busybox/get HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /containers/web/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST /containers/web/attach?stream=1&stdout=1&stdin=1 HTTP/1.1\r\nHost: x\r\n"
    b"Upgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    b"GET /containers/web/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST /containers/web/exec HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 40\r\n\r\n"
    b'{"Cmd": ["true"], "AttachStdout": true }',
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
    b'25\r\n{"Image": "busybox", "Cmd": ["true"]}\r\n0\r\n\r\n',
    b"PUT /containers/web/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: 10240\r\n\r\n" + bytes(10240),
    b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 10240\r\n\r\n" + bytes(10240),
    b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: 10240\r\n\r\n"
    + bytes(10240),
)
MANNERS = ("close", "half-close", "reset", "wait")


@pytest.fixture
def web(unharmed: Engine | RemoteEngine) -> Engine | RemoteEngine:
    """The engine with a container that prints."""
    body = {"Image": "busybox", "Cmd": ["sh", "-c", PRINTS], "OpenStdin": True, "HostConfig": {"NetworkMode": "none"}}
    unharmed.api.ok("POST", "/containers/create", body, name="web")
    unharmed.api.ok("POST", "/containers/web/start")
    return unharmed


def speak(path: str, choice: random.Random) -> None:
    """Send a part of a request, read a part of what comes, and go in some manner."""
    request = choice.choice(WHOLE)
    end = choice.choice((len(request), choice.randrange(len(request))))
    manner = choice.choice(MANNERS)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock, contextlib.suppress(OSError):
        sock.settimeout(0.02)
        sock.connect(path)
        for piece in (request[: end // 2], request[end // 2 : end]):
            sock.sendall(piece)
        if manner == "half-close":
            sock.shutdown(socket.SHUT_WR)
        if manner != "close":
            sock.recv(choice.choice((1, 100, 1 << 16)))


def test_requests_and_answers_that_break_off(web: Engine | RemoteEngine):
    choice = random.Random(MANY or 1)
    for _ in range(100 * (MANY or 2)):
        speak(web.socket, choice)
    assert web.api("GET", "/_ping", timeout=5).status == 200
    assert web.api.ok("GET", "/containers/web/json")["State"]["Running"]


def test_a_thousand_attached_at_once(web: Engine | RemoteEngine):
    """Each sees what is printed; then they all go without a word, half of them in the middle of a line."""
    count = min(1000, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2)
    request = WHOLE[8].replace(b"&stdin=1", b"")
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
        for _ in range(count):
            sock = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            sock.connect(web.socket)
            sock.sendall(request)
            waiting.register(sock, selectors.EVENT_READ, bytearray())
        deadline = time.monotonic() + 30
        while waiting.get_map():
            assert time.monotonic() < deadline, f"{len(waiting.get_map())} clients see nothing"
            for key, _ in waiting.select(1):
                key.data.extend(key.fileobj.recv(4096))  # type: ignore[union-attr]
                if b"line\n" in key.data:
                    waiting.unregister(key.fileobj)
        began = time.monotonic()
        assert web.api.ok("GET", "/containers/web/json")["State"]["Running"]
        assert time.monotonic() - began < 5
    eventually(lambda: web.api("POST", "/containers/web/kill").status == 204)
