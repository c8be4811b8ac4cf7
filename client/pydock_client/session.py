"""A running program's streams on our own: what `run`, `start -a`, `attach` and `exec` do between start and end.

One poll loop on one thread moves bytes between the hijacked connection and standard input and output, passes signals
on, and follows the size of the terminal. The session closes the connection and gives the terminal back.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import ExitStack, suppress

from pydock_shared.errors import PydockError
from pydock_shared.framing import STDERR, Demuxer

from . import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .http import Daemon

PIECE = 65536
STDIN_FD, STDOUT_FD, STDERR_FD = 0, 1, 2
# What the kernel or the interpreter means for ourselves; everything else is passed on, as docker does
_OWN = {
    "SIGCHLD",
    "SIGPIPE",
    "SIGWINCH",
    "SIGURG",
    "SIGKILL",
    "SIGSTOP",
    "SIGSEGV",
    "SIGBUS",
    "SIGFPE",
    "SIGILL",
    "SIGABRT",
}


class Target:
    """The process at the other end: where its signals and its size go."""

    __slots__ = ("daemon", "path")

    def __init__(self, daemon: Daemon, path: str) -> None:
        self.daemon = daemon
        self.path = path

    def signal(self, number: int) -> None:
        """Pass a signal on; a process that has just ended has no use for it."""
        with suppress(PydockError):
            self.daemon.call("POST", f"{self.path}/kill", {"signal": signal.Signals(number).name})

    def resize(self) -> None:
        """Give the process the size of our terminal."""
        rows, columns = terminal.size(STDOUT_FD)
        if rows and columns:
            with suppress(PydockError):
                self.daemon.call("POST", f"{self.path}/resize", {"h": rows, "w": columns})


class Session:
    """Use as a context manager around the start of the program; `move()` returns at the end of its output."""

    __slots__ = (
        "_demuxer", "_early", "_ending", "_keys", "_pending", "_poll", "_stack", "_stdin", "_stream", "_target",
        "_tty", "_wake",
    )  # fmt: skip

    def __init__(
        self,
        stream: socket.socket,
        early: bytes,
        target: Target,
        *,
        tty: bool,
        stdin: bool,
        keys: str = "",
        proxy: bool = False,
    ) -> None:
        self._stream = stream
        self._early = early
        self._target = target
        self._tty = tty
        self._stdin = stdin
        self._keys: terminal.DetachKeys | None = None
        if tty and stdin and os.isatty(STDIN_FD):
            self._keys = terminal.DetachKeys(terminal.parse_keys(keys or terminal.DEFAULT_KEYS))
        self._demuxer = None if tty else Demuxer()
        self._pending = b""
        self._ending = False
        self._wake: int | None = None
        self._poll = select.poll()
        self._stack = ExitStack()
        self._watch_signals(proxy=proxy and not tty)

    def __enter__(self) -> Session:
        self._stack.callback(self._stream.close)
        if self._keys is not None:
            self._stack.enter_context(terminal.raw(STDIN_FD))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _watch_signals(self, *, proxy: bool) -> None:
        numbers = set[int]()
        if proxy:
            numbers = {number for number in signal.valid_signals() if _name(number) not in _OWN}
        if self._tty and os.isatty(STDOUT_FD):
            numbers.add(signal.SIGWINCH)
        if not numbers:
            return
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            self._stack.callback(end.close)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._stack.callback(signal.set_wakeup_fd, before)
        self._wake = ours.fileno()
        for number in numbers:
            self._stack.callback(signal.signal, number, signal.signal(number, _noted))

    def resize(self) -> None:
        """Tell the program the size of our terminal, if it has one."""
        if self._tty and os.isatty(STDOUT_FD):
            self._target.resize()

    def move(self) -> bool:
        """Move bytes until the program's output ends; False when the person has detached before."""
        self._stream.setblocking(False)
        self._poll.register(self._stream, select.POLLIN)
        if self._stdin:
            self._poll.register(STDIN_FD, select.POLLIN)
        if self._wake is not None:
            self._poll.register(self._wake, select.POLLIN)
        if self._early:
            self._show(self._early)
        handlers: dict[int, Callable[[], bool]] = {STDIN_FD: self._read, self._stream.fileno(): self._exchange}
        if self._wake is not None:
            handlers[self._wake] = self._signals
        while True:
            for descriptor, _ in self._poll.poll():
                if not handlers[descriptor]():
                    return self._keys is None or not self._keys.found

    def _exchange(self) -> bool:
        """Read what the program wrote and write what is pending; False at its end."""
        if self._pending:
            self._flush()
        try:
            data = self._stream.recv(PIECE)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if data:
            self._show(data)
        return bool(data)

    def _show(self, data: bytes) -> None:
        if self._demuxer is None:
            write(STDOUT_FD, data)
            return
        for stream, piece in self._demuxer.feed(data):
            write(STDERR_FD if stream == STDERR else STDOUT_FD, piece)

    def _read(self) -> bool:
        """Read what was typed or piped in; False when it was the keys that detach."""
        try:
            data = os.read(STDIN_FD, PIECE)
        except OSError:  # EIO: the terminal is gone
            data = b""
        if self._keys is not None:
            data = self._keys.feed(data) if data else b""
            if self._keys.found:
                return False
            if not data:
                return True
        if not data:
            self._ending = True
        self._pending += data
        self._flush()
        return True

    def _flush(self) -> None:
        """Write what is pending; while the program does not read, neither do we. Its end is a half-close."""
        try:
            sent = self._stream.send(self._pending) if self._pending else 0
            self._pending = self._pending[sent:]
            if self._ending and not self._pending:
                self._stream.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:  # the program has closed its input, or has ended: its output tells
            self._pending, self._ending = b"", True
        if self._pending:
            self._poll.register(self._stream, select.POLLIN | select.POLLOUT)
        else:
            self._poll.register(self._stream, select.POLLIN)
        with suppress(KeyError):
            self._poll.unregister(STDIN_FD)
        if not self._pending and not self._ending:
            self._poll.register(STDIN_FD, select.POLLIN)

    def _signals(self) -> bool:
        assert self._wake is not None
        for number in os.read(self._wake, PIECE):
            if number == signal.SIGWINCH:
                self._target.resize()
            else:
                self._target.signal(number)
        return True


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor carries the number; the handler only keeps it from ending us."""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal without a name
        return "SIGKILL"


def write(descriptor: int, data: bytes) -> None:
    """Write all of it, waiting where a descriptor shared with others is set not to block."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
