"""HTTP/1.1 to the daemon over a unix or TCP socket: kept connections, streams, and hijacked ones. Used by api.py.

Own code and not http.client: that one takes 12 ms to import, more than a whole `ps`, and cannot give up its socket. A
connection belongs to its Daemon, which closes it; a hijacked one belongs to the caller.
"""

from __future__ import annotations

import json
import select
import socket

from pydock_shared.errors import InvalidArgument, NotSupported, PydockError, Unavailable, from_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from .tls import Tls

PIECE = 65536
_END = b"\r\n\r\n"
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:,")

Query = dict[str, "Any"]
Address = tuple[int, "str | tuple[str, int]"]


def parse_host(text: str, *, tls: bool = False) -> Address:
    """Return family and address of a `-H` value; InvalidArgument with Docker's words when it is none."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "tcp", text
    if scheme == "unix":
        return socket.AF_UNIX, rest or "/var/run/pydock.sock"
    if scheme in ("ssh", "npipe", "fd"):
        raise NotSupported(f"{scheme}:// hosts are not supported")
    if scheme not in ("tcp", "http", "https"):
        raise InvalidArgument(f"unable to resolve pydock endpoint: invalid bind address format: {text}")
    name, colon, port = rest.rstrip("/").rpartition(":")
    if not colon or not port.isdigit():
        name, port = rest.rstrip("/"), "2376" if tls else "2375"
    return socket.AF_INET, (name.strip("[]") or "127.0.0.1", int(port))


def quote(text: str) -> str:
    """Return a text as part of a URL."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in data)


def _target(path: str, query: Query | None) -> str:
    path = quote(path)
    while "//" in path:  # a name may be given with its slash, `/web`
        path = path.replace("//", "/")
    words: list[str] = []
    for key, value in (query or {}).items():
        for entry in value if isinstance(value, list) else [value]:
            if entry is None or entry is False or entry == "":
                continue
            words.append(f"{key}={'1' if entry is True else quote(str(entry)).replace('/', '%2F')}")
    return f"{path}?{'&'.join(words)}" if words else path


class Response:
    """An answer whose head has come; read its body to the end and its connection is used again."""

    __slots__ = ("_connection", "_daemon", "_left", "headers", "status")

    def __init__(self, daemon: Daemon, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self._daemon = daemon
        self._connection = connection
        self.status = status
        self.headers = headers
        length = headers.get("content-length")
        self._left: int | None = int(length) if length else None
        if status in (204, 304) or status < 200:
            self._left = 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._connection.chunks()
        elif self._left is None:
            yield from self._connection.rest()
            self._connection.close()
            return
        else:
            yield from self._connection.exactly(self._left)
        if self.headers.get("connection", "").lower() == "close":
            self._connection.close()
        else:
            self._daemon.keep(self._connection)

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.pieces())

    def json(self) -> Any:
        """Return the body as JSON, None when it is empty."""
        data = self.read()
        return json.loads(data) if data.strip() else None

    def objects(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of a stream as they come, one a line."""
        partial = b""
        for piece in self.pieces():
            *lines, partial = (partial + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
        if partial.strip():
            yield json.loads(partial)

    def close(self) -> None:
        """Give the answer up before its end."""
        self._connection.close()


class Connection:
    """A socket and what was read from it too early."""

    __slots__ = ("_buffer", "socket")

    def __init__(self, address: Address, host: str, tls: Tls | None = None) -> None:
        family, where = address
        self._buffer = b""
        if family != socket.AF_UNIX and ":" in where[0]:
            family = socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.connect(where)
        except PermissionError as error:
            raise self._broken(
                f"permission denied while trying to connect to the pydock daemon socket at {host}"
            ) from error
        except OSError as error:
            raise self._broken(f"Cannot connect to the pydock daemon at {host}. Is pydockd running?") from error
        if tls and family != socket.AF_UNIX:
            self.socket = tls.wrapped(self.socket, str(where[0]), host)

    def idle(self) -> bool:
        """Say whether the other side still holds an unused connection open."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def send(self, head: str, body: bytes | Iterable[bytes] | None) -> None:
        """Write a request; a body without a length goes out in chunks."""
        try:
            if body is None or isinstance(body, bytes):
                self.socket.sendall(head.encode() + (body or b""))
                return
            self.socket.sendall(head.encode())
            for piece in body:
                if piece:
                    self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.socket.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # the daemon has refused before the end, and its answer says why; or it is gone, which shows then

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer."""
        while (end := self._buffer.find(_END)) < 0:
            if not self._more():
                raise self._broken("the pydock daemon closed the connection")
        first, *rows = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + len(_END) :]
        headers = {}
        for row in rows:
            name, _, value = row.partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split(None, 2)[1])
        if status == 100:
            return self.head()
        return status, headers

    def exactly(self, count: int) -> Iterator[bytes]:
        """Yield that many bytes as they come."""
        while count:
            if not self._buffer and not self._more():
                raise self._broken("unexpected EOF")
            piece, self._buffer = self._buffer[:count], self._buffer[count:]
            count -= len(piece)
            yield piece

    def rest(self) -> Iterator[bytes]:
        """Yield what comes until the other side closes."""
        while self._buffer or self._more():
            piece, self._buffer = self._buffer, b""
            yield piece

    def chunks(self) -> Iterator[bytes]:
        """Yield the payload of a chunked body."""
        while size := int(self._line().split(b";")[0], 16):
            yield from self.exactly(size)
            self._line()
        while self._line():
            continue  # trailers

    def taken(self) -> bytes:
        """Return and forget what was read after the head."""
        data, self._buffer = self._buffer, b""
        return data

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._more():
                raise self._broken("unexpected EOF")
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def _broken(self, message: str) -> Unavailable:
        self.close()
        return Unavailable(message)

    def _more(self) -> bool:
        try:
            data = self.socket.recv(PIECE)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)


class Pending:
    """A request that is on its way; `response()` waits for its answer.

    `again` sends it on a new connection: a kept one may have been closed by the daemon in the very moment of its use.
    """

    __slots__ = ("_again", "_connection", "_daemon", "_head_only")

    def __init__(
        self,
        daemon: Daemon,
        connection: Connection,
        again: Callable[[], Connection] | None = None,
        *,
        head_only: bool = False,
    ) -> None:
        self._daemon = daemon
        self._connection = connection
        self._again = again
        self._head_only = head_only

    def response(self) -> Response:
        """Return the answer; the error it stands for is raised."""
        try:
            status, headers = self._connection.head()
        except Unavailable:
            if self._again is None:
                raise
            self._connection = self._again()
            status, headers = self._connection.head()
        if self._head_only:  # the headers tell of a body that does not come
            headers = {name: value for name, value in headers.items() if name != "transfer-encoding"}
            headers["content-length"] = "0"
        response = Response(self._daemon, self._connection, status, headers)
        if status >= 400:
            raise _error(status, response.read())
        return response

    def hijacked(self) -> tuple[socket.socket, bytes, str]:
        """Return the raw stream behind an upgrade, what has come on it already, and its media type."""
        status, headers = self._connection.head()
        if status not in (101, 200):
            response = Response(self._daemon, self._connection, status, headers)
            raise _error(status, response.read())
        return self._connection.socket, self._connection.taken(), headers.get("content-type", "")


class Daemon:
    """The daemon behind a host: requests to it, on connections that are kept. Use as a context manager or close it."""

    __slots__ = ("_address", "_idle", "_tls", "host")

    def __init__(self, host: str, tls: Tls | None = None) -> None:
        self.host = host
        self._address = parse_host(host, tls=tls is not None)
        self._tls = tls
        self._idle: list[Connection] = []

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def keep(self, connection: Connection) -> None:
        """Take back a connection whose answer was read."""
        self._idle.append(connection)

    def begin(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Pending:
        """Send a request: a body of bytes or pieces goes as it is, another as JSON."""
        lines = {"Host": "pydock", "User-Agent": "pydock-client"} | (headers or {})
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "__next__"):
            body = json.dumps(body).encode()
            lines.setdefault("Content-Type", "application/json")
        if body is None or isinstance(body, bytes):
            if method != "GET":
                lines["Content-Length"] = str(len(body or b""))
        else:
            lines["Transfer-Encoding"] = "chunked"
        head = f"{method} {_target(path, query)} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())

        def sent(connection: Connection) -> Connection:
            connection.send(f"{head}\r\n", body)
            return connection

        kept = self._kept() if self._idle else None
        if kept is None:
            return Pending(self, sent(self.connection()), head_only=method == "HEAD")
        again = (lambda: sent(self.connection())) if method in ("GET", "HEAD") else None
        return Pending(self, sent(kept), again, head_only=method == "HEAD")

    def request(self, method: str, path: str, query: Query | None = None, body: Any = None, **headers: str) -> Response:
        """Send a request and wait for the head of its answer; headers are named with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.begin(method, path, query, body, named).response()

    def call(self, method: str, path: str, query: Query | None = None, body: Any = None, **headers: str) -> Any:
        """Send a request and return the JSON of its answer."""
        return self.request(method, path, query, body, **headers).json()

    def hijack(self, path: str, query: Query | None = None, body: Any = None) -> Pending:
        """Send a request whose connection becomes a raw stream; it is the caller's then."""
        return self.begin("POST", path, query, body, {"Connection": "Upgrade", "Upgrade": "tcp"})

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle():
                return connection
            connection.close()
        return None

    def connection(self) -> Connection:
        """Return a new connection, which is the caller's."""
        return Connection(self._address, self.host, self._tls)


def _error(status: int, data: bytes) -> PydockError:
    try:
        message = json.loads(data)["message"]
    except (ValueError, KeyError, TypeError):
        message = data.decode(errors="replace").strip() or f"status {status}"
    return from_status(status, f"Error response from daemon: {message}")
