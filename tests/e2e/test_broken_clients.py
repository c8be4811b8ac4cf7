"""Clients that send nonsense, half of something, or go away in the middle: an answer in words, and nothing is left."""

import contextlib
import gzip
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api

CREATE = "/containers/create"


@pytest.fixture(autouse=True)
def _unharmed(daemon: Engine | RemoteEngine, tidy: None) -> Iterator[None]:
    """Whatever a client does: the daemon answers the next one, has as many descriptors, and says nothing of it."""
    if isinstance(daemon, RemoteEngine):
        yield
        return
    folder, said = Path(f"/proc/{daemon.pid}/fd"), daemon.log.stat().st_size
    before = len(os.listdir(folder))
    yield
    daemon.clear()
    assert daemon.api("GET", "/_ping").status == 200
    eventually(lambda: len(os.listdir(folder)) <= before)
    with daemon.log.open() as file:
        file.seek(said)
        assert "Traceback" not in file.read()


def say(api: Api, data: bytes) -> bytes:
    """Everything that comes back for some bytes, up to the end of the connection."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(10)
        sock.connect(api.socket_path)
        with contextlib.suppress(BrokenPipeError):  # who has heard enough may close
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(1 << 16):
                answer += piece
        return answer


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"Image": "\xff\xfe"}',
        b"[]",
        b"1",
        b'"text"',
        b"[" * 100_000,
        b'{"Image":' * 20_000,
        b'{"HostConfig": {"Memory": 1e400}}',
        b'{"HostConfig": {"Memory": 123456789012345678901234567890}}',
        b'{"HostConfig": {"Memory": ' + b"9" * 10_000 + b"}}",
        b'{"Image": "busybox", "Cmd": ["a\\u0000b"]}',
        b'{"Image": "busybox", "Env": ["A=\\u0000"]}',
        b'{"Image": "busybox", "Hostname": "\\u0000"}',
        b'{"Image": "busybox", "HostConfig": {"Binds": ["/\\u0000:/x"]}}',
        b'{"Image": "busybox", "Labels": {"\\ud800": "x"}}',
        b'{"Image": "busybox", "WorkingDir": "/\\ud800"}',
        b'{"Image": "busybox", "User": "\\ud800"}',
    ],
    ids=range(18),
)
def test_bodies(api: Api, body: bytes):
    answer = api("POST", CREATE, body)
    assert answer.status in (201, 400), answer
    if answer.status == 201:  # what Go's decoder takes may fail at the start, in words
        started = api("POST", f"/containers/{answer.body['Id']}/start")
        assert started.status in (204, 400, 500), started
        assert started.status == 204 or "internal error" not in started.body["message"]
    else:
        assert set(answer.body) == {"message"}


def test_a_huge_body(api: Api):
    body = b'{"Image": "busybox", "Labels": {"a": "' + b"x" * (3 << 20) + b'"}}'
    head = f"POST {CREATE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = say(api, head.encode() + body)
    assert answer.split()[1] in (b"201", b"400", b"413")
    assert b'"message"' in answer or b'"Id"' in answer


def test_an_answer_before_the_end_of_the_body_is_seen(daemon: Engine | RemoteEngine, tmp_path: Path):
    docker, junk = Cli("docker", daemon.host, tmp_path), os.urandom(1 << 20) * 16
    for _ in range(8):  # a client whose sending breaks sees the answer now and then
        refused = docker.result("load", stdin=junk)
        assert (refused.returncode, "closed" in refused.stderr, "pipe" in refused.stderr) == (1, False, False), refused


def test_half_a_head_and_half_a_body(api: Api):
    assert b"HTTP/1.1 2" not in say(api, b"GET /info HT")
    assert b"HTTP/1.1 2" not in say(api, b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert api.ok("GET", "/containers/json", all="1") == []


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET /info HTTP/9.9\r\n\r\n",
        b"GET info HTTP/1.1\r\n\r\n",
        b"GET /info HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /info HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET http://elsewhere/info HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xff /info HTTP/1.1\r\n\r\n",
    ],
    ids=range(11),
)
def test_heads(api: Api, head: bytes):
    answer = say(api, head)
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/containers/../info",
        "/containers/%2e%2e/%2e%2e/json",
        "/containers/..%2f..%2fetc/json",
        "/images/../../etc/passwd/json",
        "/volumes/..",
        "/volumes/%2e%2e%2f%2e%2e",
        "/volumes/%00",
        "/networks/%00",
        "/containers/web/top?ps_args=%00",
        "/containers/%ff%fe/json",
        "/exec/%2e%2e/json",
        "/containers/" + "a" * 3000 + "/json",
        "/v1.45/../v1.45/info/..",
        "/./info/.",
        "//",
    ],
)
def test_paths(api: Api, path: str):
    answer = api("GET", path)
    assert answer.status in (301, 400, 404), answer


@pytest.mark.parametrize(
    "path", ["/events", "/containers/web/logs?follow=1&stdout=1", "/containers/web/stats", "/containers/web/export"]
)
def test_a_reader_that_leaves_in_the_middle(docker: Cli, api: Api, path: str):
    docker("run", "-d", "--name", "web", "busybox", "sh", "-c", "while :; do echo line; done")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            sock.settimeout(20)
            sock.connect(api.socket_path)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(100)


def test_an_upload_that_breaks_off(docker: Cli, api: Api):
    docker("create", "--name", "web", "busybox")
    for target in ("PUT /containers/web/archive?path=/", "POST /images/load"):
        head = f"{target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(api.socket_path)
            sock.sendall(head.encode() + b"x" * 5000)
    docker("rm", "web")


def test_many_connections_that_say_nothing(api: Api):
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            sock = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            sock.connect(api.socket_path)
        began = time.monotonic()
        assert api("GET", "/_ping").status == 200
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (f"POST {CREATE} HTTP/1.1", b"201"),
        ("POST /nothing HTTP/1.1", b"404"),
        ("POST /v9.9/containers/create HTTP/1.1", b"400"),
    ],
)
def test_who_asks_for_a_change_and_ends_its_side_is_answered(api: Api, request_line: str, expected: bytes):
    body = b'{"Image": "busybox"}'
    head = f"{request_line}\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    assert say(api, head.encode() + body).split()[1] == expected


@pytest.mark.parametrize("target", [f"POST {CREATE}", "POST /images/load", "PUT /containers/web/archive?path=/"])
def test_a_body_that_makes_no_sense_from_some_point_on(docker: Cli, api: Api, target: str):
    docker("create", "--name", "web", "busybox")
    head = f"{target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(10)
        sock.connect(api.socket_path)
        sock.sendall(f"{head}5\r\nabcde\r\n".encode())
        time.sleep(0.1)  # the part before has been taken in
        sock.sendall(b"zz\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(1 << 16):
                answer += piece
    assert b"malformed" in answer or b" 400 " in answer or b"invalid" in answer
    assert answer.count(b"HTTP/1.1") == 1
    docker("rm", "web")


def test_a_document_that_is_packed_is_none(api: Api):
    body = gzip.compress(b'{"Image": "busybox"}')
    head = f"POST {CREATE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    for packed in (body, bytes(len(body))):
        answer = say(api, f"{head}Content-Encoding: gzip\r\n\r\n".encode() + packed)
        assert answer.split()[1] == b"400"
        assert b"invalid JSON: " in answer


def test_who_asks_whether_to_go_on_is_told(api: Api):
    body = b'{"Image": "busybox"}'
    head = f"POST {CREATE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.settimeout(10)
        sock.connect(api.socket_path)
        sock.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(1000).split()[1] == b"201"
