"""The parent's ends of a process's pipes or terminal: one to read output from, one to write input to; made by stdio."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from select import EPOLLIN, EPOLLOUT

from pydock_runtime.supervisor import envelope
from pydock_runtime.supervisor.protocol import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.supervisor.poller import Poller, Timer
    from pydock_runtime.supervisor.stdio import Stdio

READ_SIZE = 64 << 10
TICK = 0.001  # seconds between two looks at a busy output
BUSY_READS = 16  # reads, each within a TICK of the one before, that make an output a busy one
BUSY_PIPE = 1 << 20  # bytes of a busy pipe, and the most that is read of it in a turn
DRAIN_READS = 32  # reads of a dead process's pipe within one turn


class Output:
    """The reading end of a process's stdout, stderr or terminal.

    A process that prints without end in small writes would wake us for each of them, and each would cost three system
    calls. An output that is found busy is therefore looked at once in a TICK only, with a pipe that holds a tick's
    worth, until a look finds nothing.
    """

    __slots__ = ("_busy", "_last", "_owned", "_owner", "_poller", "_reading", "_timer", "fd", "moved", "stream")

    def __init__(self, poller: Poller, fd: int, stream: int, owner: Stdio, *, owned: bool) -> None:
        self._poller = poller
        self.fd = fd
        self.stream = stream
        self._owner = owner
        self._owned = owned
        self._reading = False
        self._timer: Timer | None = None
        self._busy = 0
        self._last = 0.0
        self.moved = False
        self.resume()

    def resume(self) -> None:
        """Read what comes."""
        if not self._reading:
            self._reading = True
            self._poller.watch(self.fd, EPOLLIN, self._on_events)

    def pause(self) -> None:
        """Read nothing. Not a change of events: an unwatched HUP would be told again and again."""
        self._reading = False
        self._poller.forget(self.fd)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drain(self) -> None:
        """Read to the end, or until the pipe is empty and somebody holds it open, within bounds."""
        for _ in range(DRAIN_READS):
            if not self._read():
                return

    def close(self) -> None:
        """Stop reading; tells the owner."""
        self.pause()
        if self._owned:
            os.close(self.fd)
        self._owner.output_ended(self)

    def _on_events(self, _events: int) -> None:
        now = time.monotonic()
        self._busy = self._busy + 1 if now - self._last < TICK else 0
        self._last = now
        if self._read() and self._busy >= BUSY_READS and self._reading:
            self._busy = 0
            if self._resize(BUSY_PIPE):
                self._poller.forget(self.fd)
                self._timer = self._poller.after(TICK, self._on_tick)

    def _resize(self, size: int) -> bool:
        # A terminal has no size to set, and holds a tick's worth anyway.
        try:
            return not self._owned or fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, size) >= size
        except OSError:
            return False  # more than /proc/sys/fs/pipe-user-pages-soft allows this user

    def _on_tick(self) -> None:
        self._timer = None
        left = BUSY_PIPE
        while left > 0 and self._reading:
            size = self._read()
            if not size:
                break
            left -= size
        if not self._reading:
            return
        if left < BUSY_PIPE:
            self._timer = self._poller.after(TICK, self._on_tick)
        else:
            self._resize(READ_SIZE)
            self._poller.watch(self.fd, EPOLLIN, self._on_events)

    def _read(self) -> int:
        """Return how many bytes were read; 0: nothing there, or the end, which closes."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data:
            self.close()
            return 0
        self.moved = True
        self._owner.output(self.stream, data)
        return len(data)


class Input:
    """The writing end of a process's stdin; keeps what it does not take yet, and then no more is read from clients."""

    __slots__ = ("_buffer", "_ending", "_envelope", "_owner", "_poller", "fd", "full")

    def __init__(self, poller: Poller, fd: int, owner: Stdio, sealed: socket.socket | None = None) -> None:
        """`sealed`: an envelope with a duplicate of `fd`, which was made by another supervisor."""
        self._poller = poller
        self.fd = fd
        self._owner = owner
        self._buffer = bytearray()
        self._ending = False
        self._envelope = sealed
        self.full = False
        """Whether clients have to wait."""

    def write(self, data: bytes) -> None:
        """Write what fits, keep the rest."""
        if self._ending or self.fd < 0:
            return
        self._buffer += data
        if not self.full:
            self._flush()
            if self._buffer:
                self._wait()

    def move(self, connection: int) -> bool:
        """Let the kernel move what a connection has into the pipe. False: one of them has ended.

        Raises OSError: the connection is broken; BlockingIOError: the pipe is full.
        """
        try:
            return os.splice(connection, self.fd, READ_SIZE, flags=os.SPLICE_F_NONBLOCK) > 0
        except BlockingIOError:
            self._wait()
            raise
        except BrokenPipeError:
            self.close()
            return False

    def seal(self) -> int:
        """Return an envelope with a duplicate of the end, which `close` opens. Raises OSError."""
        if self._envelope is None:
            self._envelope = envelope.seal(self.fd)
        return self._envelope.fileno()

    def saved(self) -> dict[str, Any]:
        """Return what `restore` goes on with."""
        sealed = self._envelope.fileno() if self._envelope is not None else -1
        return {"fd": Fd(self.fd), "buffer": bytes(self._buffer), "ending": self._ending, "sealed": Fd(sealed)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where another object on the same end was."""
        if saved["sealed"] >= 0:
            self._envelope = socket.socket(fileno=saved["sealed"])
        self.write(saved["buffer"])
        if saved["ending"]:
            self.end()

    def end(self) -> None:
        """Close when all is written."""
        self._ending = True
        if not self._buffer:
            self.close()

    def close(self) -> None:
        """Close now; tells the owner."""
        if self.fd >= 0:
            self._poller.forget(self.fd)
            os.close(self.fd)
            self.fd = -1
            if self._envelope is not None:
                envelope.unseal(self._envelope)
            self._buffer.clear()
            self._owner.input_closed()

    def _wait(self) -> None:
        if self.full:
            return
        self.full = True
        self._poller.watch(self.fd, EPOLLOUT, self._on_events)
        self._owner.input_full(full=True)

    def _flush(self) -> None:
        try:
            del self._buffer[: os.write(self.fd, self._buffer)]
        except BlockingIOError:
            pass
        except OSError:  # EPIPE, EIO: the process has closed its stdin
            self.close()

    def _on_events(self, _events: int) -> None:
        if self._buffer:
            self._flush()
        if self.fd >= 0 and not self._buffer:
            self._poller.forget(self.fd)
            self.full = False
            self._owner.input_full(full=False)
            if self._ending:
                self.close()
