"""A connection with TLS on one side and without on the other, both half-closed apart. Used by client and daemon.

The stream of an attached container ends in one direction before it does in the other, which neither asyncio's TLS nor
`ssl.SSLSocket` keep apart: to say that nothing follows (close_notify) they want the other side to have said so too.
"""

import select
import socket
import ssl
import time
from contextlib import suppress

PIECE = 1 << 16
HANDSHAKE = 10.0
"""Seconds within which the other side must have shown who it is."""


class Encrypted:
    """The side with TLS: a connected socket, as a client of `name` or as a server. What is sent waits in `unsent`."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str | None = None) -> None:
        self.socket = sock
        self.unsent = b""
        self.ended = False
        """The other side writes no more."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=name is None, server_hostname=name)

    def handshake(self) -> None:
        """Shake hands, waiting for it; OSError (ssl.SSLError for one) when that fails."""
        deadline = time.monotonic() + HANDSHAKE
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
            finally:
                # Also when it has failed: the other side is told why.
                self.socket.sendall(self._outgoing.read())
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            self._take(self.socket.recv(PIECE))

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def received(self) -> bytes:
        """Return what has come, all of it; nothing may be left in the machinery when `finish` is called."""
        with suppress(BlockingIOError):
            self._take(self.socket.recv(PIECE))
        return self.decrypted()

    def decrypted(self) -> bytes:
        """Return what can be read of what has come."""
        pieces = []
        try:
            while piece := self._tls.read(PIECE):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended = True
        self.unsent += self._outgoing.read()
        return b"".join(pieces)

    def write(self, data: bytes) -> None:
        """Have data sent."""
        self._tls.write(data)
        self.unsent += self._outgoing.read()

    def finish(self) -> None:
        """Have said that nothing follows; the other side may go on."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self.unsent += self._outgoing.read()

    def send(self) -> None:
        """Send what can be sent at once."""
        self.unsent = _sent(self.socket, self.unsent)


def relay(outer: Encrypted, inner: socket.socket) -> None:
    """Move bytes between both sides until both directions have ended, then close them.

    At most one piece waits in each direction. A plain end that is closed altogether ends it too.
    """
    with outer.socket, inner, suppress(OSError):
        outer.socket.setblocking(False)
        inner.setblocking(False)
        waiting, passed_on, finished = outer.decrypted(), False, False
        while not (passed_on and finished and not outer.unsent):
            ready = _wait(
                (outer.socket, not outer.ended and not waiting, bool(outer.unsent)),
                (inner, not finished and not outer.unsent, bool(waiting)),
            )
            if ready.get(outer.socket.fileno(), 0) & ~select.POLLOUT and not outer.ended and not waiting:
                waiting = outer.received()
            if ready.get(inner.fileno(), 0) & ~select.POLLOUT and not finished and not outer.unsent:
                data = inner.recv(PIECE)
                finished = not data
                outer.write(data) if data else outer.finish()
            outer.send()
            waiting = _sent(inner, waiting)
            if outer.ended and not waiting and not passed_on:
                passed_on = True
                inner.shutdown(socket.SHUT_WR)
            if finished and not outer.unsent and _gone(inner):
                return


def _wait(*ends: tuple[socket.socket, bool, bool]) -> dict[int, int]:
    """Wait until something can be read or written, each where that is wanted; return the events by descriptor."""
    poll = select.poll()
    for end, reading, writing in ends:
        if reading or writing:
            poll.register(end, select.POLLIN * reading | select.POLLOUT * writing)
    return dict(poll.poll())


def _sent(target: socket.socket, data: bytes) -> bytes:
    """Send what can be sent at once and return the rest."""
    if not data:
        return data
    try:
        return data[target.send(data) :]
    except BlockingIOError:
        return data


def _gone(inner: socket.socket) -> bool:
    """Say whether the other end is closed altogether, and not for writing alone."""
    poll = select.poll()
    poll.register(inner, 0)
    return bool(poll.poll(0))
