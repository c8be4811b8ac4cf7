"""A daemon that only answers from a table and remembers what it was asked: shows what a command line sends.

The real docker command line is sent to it too: what that one sends is right by definition.
"""

import json
import socket
import threading
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

ID = "4f" * 32


class Request(NamedTuple):
    """One request as it came: path without the version, query and JSON body taken apart."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    """What the recorder answers; `raw` is written as it is after the head of an upgrade."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None


Answers = dict[tuple[str, str], Answer | list[Answer]]


class Recorder:
    """Use as a context manager; `requests` is what came, without pings."""

    def __init__(self, path: Path, answers: Answers | None = None) -> None:
        self.path = path
        self.host = f"unix://{path}"
        self.requests: list[Request] = []
        self.connections = 0
        self.answers = dict(answers or {})
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> "Recorder":
        self.path.unlink(missing_ok=True)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.threads.append(threading.Thread(target=self._accept, daemon=True))
        self.threads[0].start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(2)

    def bodies(self, method: str, path: str) -> list[Any]:
        """Bodies of the requests of that kind."""
        return [request.body for request in self.requests if (request.method, request.path) == (method, path)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while request := _read(stream):
                if request.path != "/_ping":
                    self.requests.append(request)
                answer = self._answer(request)
                if answer.raw is not None:
                    head = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
                    connection.sendall(head + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + answer.raw)
                    return
                body = answer.body
                data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
                head = f"HTTP/1.1 {answer.status} X\r\nApi-Version: 1.50\r\nOstype: linux\r\n"
                head += "Content-Type: application/json\r\n"
                if answer.status not in (204, 304):
                    head += f"Content-Length: {len(data)}\r\n"
                connection.sendall(head.encode() + b"\r\n" + (b"" if request.method == "HEAD" else data))

    def _answer(self, request: Request) -> Answer:
        answer = self.answers.get((request.method, request.path), DEFAULTS.get((request.method, request.path)))
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer or Answer(404, {"message": f"page not found: {request.method} {request.path}"})


DEFAULTS: dict[tuple[str, str], Answer] = {
    ("HEAD", "/_ping"): Answer(),
    ("GET", "/_ping"): Answer(),
    ("GET", "/info"): Answer(body={"IndexServerAddress": "https://index.docker.io/v1/", "OSType": "linux"}),
    ("POST", "/containers/create"): Answer(201, {"Id": ID, "Warnings": []}),
    ("POST", f"/containers/{ID}/start"): Answer(204),
}


def _read(stream: Any) -> Request | None:
    try:
        line = stream.readline()
    except ConnectionResetError:  # the program has ended with something of ours unread
        return None
    if not line.strip():
        return None
    method, target, _ = line.decode().split()
    headers: dict[str, str] = {}
    while (row := stream.readline().decode().strip()) != "":
        name, _, value = row.partition(":")
        headers[name.lower()] = value.strip()
    data = _body(stream, headers)
    parts = urlsplit(target)
    path = parts.path
    if path.startswith("/v1."):
        path = "/" + path.split("/", 2)[2]
    try:
        body = json.loads(data) if data else None
    except ValueError:
        body = data
    return Request(method, path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body)


def _body(stream: Any, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    data = b""
    while size := int(stream.readline().split(b";")[0], 16):
        data += stream.read(size)
        stream.readline()
    stream.readline()
    return data
