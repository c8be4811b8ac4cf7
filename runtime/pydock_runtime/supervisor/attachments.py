"""A client's own connection, written to and read from by the supervisor itself; made and dropped by stdio.

pydockd passes a duplicate of the connection's descriptor and may die: the client notices nothing. Closing a socket with
unread input makes the other end's next read fail with ECONNRESET, after which it may never see the last output: hence
`end` shuts our direction down and reads on until the client has closed, for LINGER seconds at most.

We may be killed at any moment, and the next supervisor goes on: no client may ever have half a frame, or a hole in its
input. A frame of FRAME bytes is taken whole or not at all by a unix socket (the kernel makes one buffer of it); other
sockets get all from `Unsent`, as does a client that is behind. Input goes into a pipe by splice(2), and so is either
still in the connection or already there.

The first output waits until the client has taken the answer that made its connection a stream, for GREETING seconds at
most: docker-py reads that answer through a buffer which it then throws away, with whatever has come along.
"""

from __future__ import annotations

import fcntl
import os
import socket
import termios
import time
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT

from pydock_runtime.supervisor.protocol import Fd
from pydock_runtime.supervisor.unsent import Unsent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_runtime.supervisor.poller import Poller, Timer
    from pydock_runtime.supervisor.stdio import Stdio

STDIN, STDOUT, STDERR = 0, 1, 2
HIGH_WATER = 1 << 20  # bytes a client may be behind before the container has to wait for it
READ_SIZE = 64 << 10
FRAME = 32 << 10  # bytes of a frame, head included
_HEAD = 8
_ROOM = 2 * FRAME + 256  # of a socket's buffer, half of which is the most that one of its messages has
LINGER = 10.0
GREETING = 0.2
LOOK_AGAIN = 0.001
_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Attachment:
    """One attached client. Open: output and input flow. Ending: the rest of the output flows. Closed."""

    __slots__ = (
        "_closed",
        "_ending",
        "_events",
        "_greeted",
        "_greeting",
        "_keys",
        "_lagging",
        "_linger",
        "_owner",
        "_parked",
        "_poller",
        "_progress",
        "_reading",
        "_sock",
        "_whole",
        "framed",
        "on_gone",
        "patience",
        "streams",
        "unsent",
    )

    def __init__(
        self, poller: Poller, owner: Stdio, fd: int, streams: frozenset[int], *, framed: bool, keys: bytes
    ) -> None:
        """Own `fd`, a connected stream socket. Raises OSError when it is none."""
        self._sock = socket.socket(fileno=fd)
        self._poller = poller
        self._owner = owner
        os.set_blocking(fd, False)
        self._whole = self._sock.family == socket.AF_UNIX and _room(self._sock) >= _ROOM
        self.unsent = Unsent()
        self._keys = DetachKeys(keys)
        self._reading = STDIN in streams
        self._ending = False
        self._closed = False
        self._parked = False
        self._linger: Timer | None = None
        self._lagging: Timer | None = None
        self._greeting: Timer | None = None
        self._greeted = 0.0
        """When output may begin: 0 at once, else the end of the wait, by the monotonic clock."""
        if self._unread():
            self._greeted = time.monotonic() + GREETING
        self._progress = False
        self.patience = 0.0
        """Seconds for which the container waits for a client that reads nothing; 0: for ever."""
        self.on_gone: Callable[[], None] | None = None
        """Called when the client goes by itself, neither by its detach keys nor at the end of the output."""
        self.streams = streams
        self.framed = framed
        self._events = EPOLLIN if self._reading else 0
        poller.watch(self._sock.fileno(), self._events, self._on_events)

    @property
    def behind(self) -> bool:
        """Whether the container must wait for this client."""
        return len(self.unsent) > HIGH_WATER

    @property
    def reads(self) -> bool:
        """Whether more input may come from this client."""
        return self._reading

    def send(self, stream: int, data: bytes) -> None:
        """Give the client a piece of output, now or when it reads again."""
        if self._ending or self._closed or stream not in self.streams:
            return
        frames = self._frames(stream, data)
        try:
            if not self.unsent and self._may_begin() and self._whole:
                while frames and self._pass_on(frames[0]):
                    del frames[0]
            if frames:
                self.unsent.put([piece for frame in frames for piece in frame])
        except OSError:
            self.close()
            return
        if frames:
            if not self._greeted:
                self._want(self._events | EPOLLOUT)
            if self.patience and self.behind and self._lagging is None:
                self._lagging = self._poller.after(self.patience, self._judge)

    def _frames(self, stream: int, data: bytes) -> list[list[bytes]]:
        frames = []
        for start in range(0, len(data), FRAME - _HEAD):
            piece = data[start : start + FRAME - _HEAD]
            head = [bytes((stream, 0, 0, 0)) + len(piece).to_bytes(4, "big")] if self.framed else []
            frames.append([*head, piece])
        return frames

    def _pass_on(self, frame: list[bytes]) -> bool:
        """Send a frame, whole or not at all. Raises OSError."""
        try:
            self._sock.sendmsg(frame, (), _FLAGS)
        except BlockingIOError:
            return False
        return True

    def _unread(self) -> bool:
        """Whether something was sent that the client has not read, by unix(7); TCP does not tell."""
        if self._sock.family != socket.AF_UNIX:
            return False
        return any(fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4)))

    def _may_begin(self) -> bool:
        if self._greeted and self._unread() and time.monotonic() < self._greeted:
            if self._greeting is None:
                self._greeting = self._poller.after(LOOK_AGAIN, self._look_again)
            return False
        self._greeted = 0.0
        return True

    def _look_again(self) -> None:
        self._greeting = None
        if self._may_begin() and self.unsent:
            self._want(self._events | EPOLLOUT)

    def _judge(self) -> None:
        """Drop a client that read nothing for as long as the container may wait."""
        self._lagging = None
        if self.behind and not self._closed:
            if not self._progress:
                self.close()
                return
            self._progress = False
            self._lagging = self._poller.after(self.patience, self._judge)

    def hold(self, *, held: bool) -> None:
        """Stop reading input, or go on: the container's stdin is full, or not any more."""
        if self._reading and not self._ending:
            self._want(self._events & ~EPOLLIN if held else self._events | EPOLLIN)

    def end(self) -> None:
        """No more output comes: send what is left, then tell the client by the end of the stream."""
        if self._ending or self._closed:
            return
        self._ending = True
        self._reading = False
        self._want(EPOLLOUT if self.unsent and not self._greeted else 0)
        if not self.unsent:
            self._shut()

    @property
    def stays(self) -> bool:
        """Whether more may come for it."""
        return not self._ending and not self._closed

    @property
    def fds(self) -> tuple[int, int]:
        """The connection, and what it was not sent yet. Raises OSError."""
        return self._sock.fileno(), self.unsent.file

    def describe(self) -> dict[str, Any]:
        """Return what another supervisor attaches it by, to the same process; `fds` go with it."""
        return {
            "streams": sorted(self.streams),
            "framed": self.framed,
            "keys": list(self._keys.keys),
            "reading": self._reading,
            "patience": self.patience,
            "leash": self.on_gone is not None,
        }

    def saved(self) -> dict[str, Any]:
        """Return what `restore` goes on with. Raises OSError."""
        return {
            "sock": Fd(self._sock.fileno()),
            "streams": sorted(self.streams),
            "framed": self.framed,
            "keys": self._keys.keys,
            "matched": self._keys.matched,
            "unsent": Fd(self.unsent.file),
            "reading": self._reading,
            "ending": self._ending,
            "patience": self.patience,
            "leash": self.on_gone is not None,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where another object on the same connection was, just after it was made."""
        self._keys.matched = saved["matched"]
        self.unsent.close()
        self.unsent = Unsent(saved["unsent"])
        self._reading = saved["reading"]
        self.patience = saved["patience"]
        self._greeted = 0.0
        self._want((EPOLLIN if self._reading else 0) | (EPOLLOUT if self.unsent else 0))
        if saved["ending"]:
            self.end()

    def abandon(self) -> None:
        """Forget the descriptor and leave the connection as it is: pydockd has something to say on it."""
        self._release()

    def close(self) -> None:
        """The client has gone, or has been told all."""
        if not self._closed:
            gone = self.on_gone if not self._ending else None
            self._release()
            self._owner.detached(self)
            if gone is not None:
                gone()

    def _release(self) -> None:
        if not self._closed:
            self._closed = True
            self._reading = False
            for timer in (self._linger, self._lagging, self._greeting):
                if timer is not None:
                    timer.cancel()
            self._poller.forget(self._sock.fileno())
            self._sock.close()
            self.unsent.close()

    def _want(self, events: int) -> None:
        if events != self._events:
            self._events = events
            if self._parked:
                self._parked = False
                self._poller.watch(self._sock.fileno(), events, self._on_events)
            else:
                self._poller.change(self._sock.fileno(), events)

    def _shut(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._want(EPOLLIN)
        self._linger = self._poller.after(LINGER, self.close)

    def _on_events(self, events: int) -> None:
        if events & EPOLLIN:
            self._read()
        elif events & EPOLLHUP and self._reading and not events & EPOLLERR:
            # Gone, but the process's stdin is full and input of this client is still unread: look again when it is not.
            self._parked = True
            self._poller.forget(self._sock.fileno())
        elif events & (EPOLLHUP | EPOLLERR):
            self.close()
        if events & EPOLLOUT and not self._closed:
            self._flush()

    def _flush(self) -> None:
        if not self.unsent:
            return
        was_behind = self.behind
        try:
            self.unsent.send(self._sock.fileno(), 4 * READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._progress = True
        if not self.unsent:
            self._want(self._events & ~EPOLLOUT)
            if self._ending:
                self._shut()
        if was_behind and not self.behind:
            self._owner.throttle()

    def _read(self) -> None:
        try:
            if self._reading and self._owner.move_input(self._sock.fileno()):
                return
            data = self._sock.recv(READ_SIZE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._ending:
            if not data:
                self.close()
        elif not data:
            self._reading = False
            self._want(self._events & ~EPOLLIN)
            self._owner.input_ended(self)
        else:
            data, detach = self._keys.filter(data)
            if data:
                self._owner.input(data)
            if detach:
                self._owner.detach(self)


def _room(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


class DetachKeys:
    """Finds the detach sequence in what a person types; the keys of a sequence that does not complete are passed on."""

    __slots__ = ("keys", "matched")

    def __init__(self, keys: bytes) -> None:
        """No keys, no detaching."""
        self.keys = keys
        self.matched = 0

    def filter(self, data: bytes) -> tuple[bytes, bool]:
        """Return the input to pass on, and whether the sequence is complete (what follows it is dropped)."""
        keys = self.keys
        if not keys or (not self.matched and keys[0] not in data):
            return data, False
        out = bytearray()
        for byte in data:
            if byte != keys[self.matched]:
                out += keys[: self.matched]
                self.matched = 0
            if byte == keys[self.matched]:
                self.matched += 1
                if self.matched == len(keys):
                    self.matched = 0
                    return bytes(out), True
            else:
                out.append(byte)
        return bytes(out), False
