"""One connected pydockd: frames in, answers and events out; made by service for an accepted socket, freed by itself."""

from __future__ import annotations

from collections import deque
from select import EPOLLIN, EPOLLOUT

from pydock_runtime.supervisor import protocol
from pydock_runtime.supervisor.diary import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from pydock_runtime.supervisor.poller import Poller


class Refused(Exception):
    """A request that is answered with an error of one of protocol's kinds."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Request:
    """One request until it is answered; owns the descriptors that came along until `take_fd`."""

    __slots__ = ("connection", "fds", "fields", "number", "op")

    def __init__(self, connection: Connection, fields: dict[str, Any], fds: list[int]) -> None:
        self.connection = connection
        self.fields = fields
        self.fds = fds
        self.number: int = fields.get("id", 0)
        self.op: str = fields.get("op", "")

    def answer(self, result: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send the result, with duplicates of descriptors."""
        self.connection.send({"id": self.number, "result": result, "fds": len(fds)}, fds)

    def refuse(self, kind: str, message: str) -> None:
        """Send an error."""
        self.connection.send({"id": self.number, "error": {"kind": kind, "message": message}})

    def take_fd(self) -> int:
        """Return the next descriptor, now the caller's; raises Refused."""
        if not self.fds:
            raise Refused(protocol.INVALID, f"{self.op}: a descriptor is missing")
        return self.fds.pop(0)

    def close_fds(self) -> None:
        """Close what nobody took."""
        protocol.close_all(self.fds)
        self.fds.clear()


class Connection:
    """A stream socket to pydockd; `on_request` and `on_close` are the service's."""

    __slots__ = ("_decoder", "_frames", "_held", "_on_close", "_on_request", "_poller", "_sock", "closed")

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        on_request: Callable[[Request], None],
        on_close: Callable[[Connection], None],
    ) -> None:
        self._poller = poller
        self._sock = sock
        self._on_request = on_request
        self._on_close = on_close
        self._decoder = protocol.Decoder()
        self._frames: deque[tuple[memoryview, list[int]]] = deque()
        self._held = False
        self.closed = False
        poller.watch(sock.fileno(), EPOLLIN, self._on_events)

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send now or when the other end reads again; nothing happens once it has gone. Raises OSError."""
        if self.closed:
            return
        idle = not self._frames
        self._frames.append((memoryview(protocol.encode(message)), protocol.duplicates(fds)))
        if idle:
            self._flush()
            if self._frames and not self.closed:
                self._poller.change(self._sock.fileno(), EPOLLOUT if self._held else EPOLLIN | EPOLLOUT)

    def hold(self, *, held: bool) -> None:
        """Read no further requests, or go on."""
        if not self.closed:
            events = 0 if held else EPOLLIN
            self._poller.change(self._sock.fileno(), events | EPOLLOUT if self._frames else events)
            self._held = held

    def saved(self) -> dict[str, Any]:
        """Return what `restore` goes on with."""
        frames = [[bytes(data), [protocol.Fd(fd) for fd in fds]] for data, fds in self._frames]
        return {"sock": protocol.Fd(self._sock.fileno()), "decoder": self._decoder.saved(), "frames": frames}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where another connection object on the same socket was."""
        self._decoder.restore(saved["decoder"])
        self._frames.extend((memoryview(data), fds) for data, fds in saved["frames"])
        if self._frames:
            self._poller.change(self._sock.fileno(), EPOLLIN | EPOLLOUT)

    def close(self) -> None:
        """Close the socket, tell the service."""
        if self.closed:
            return
        self.closed = True
        self._poller.forget(self._sock.fileno())
        self._sock.close()
        self._decoder.close()
        for _, fds in self._frames:
            protocol.close_all(fds)
        self._frames.clear()
        self._on_close(self)

    def _flush(self) -> None:
        try:
            while self._frames:
                data, fds = self._frames[0]
                sent = protocol.transmit(self._sock, data, fds)
                protocol.close_all(fds)
                self._frames[0] = (data[sent:], [])
                if sent == len(data):
                    self._frames.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _on_events(self, events: int) -> None:
        if events & EPOLLOUT:
            self._flush()
            if self.closed:
                return
            if not self._frames:
                self._poller.change(self._sock.fileno(), 0 if self._held else EPOLLIN)
        if events & ~EPOLLOUT:
            self._read()

    def _read(self) -> None:
        try:
            data, fds = protocol.receive(self._sock)
            messages = self._decoder.feed(data, fds)
        except BlockingIOError:
            return
        except (OSError, protocol.ProtocolError) as error:
            note(f"connection dropped: {error}")
            self.close()
            return
        if not data:
            self.close()
        for message, passed in messages:
            self._on_request(Request(self, message, passed))
