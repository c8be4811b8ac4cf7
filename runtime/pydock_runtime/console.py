"""Terminals of the verbs: handed over to whoever asked, or joined with our own; and waiting. Used by create, run, exec.

A terminal's master goes to --console-socket (as runc sends it: one message with its name, and the descriptor), or is
relayed by us, when we wait for the process.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import select
import signal
import socket
import termios

from pydock_runtime import container, terminal
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from pydock_runtime.arguments import Call
    from pydock_runtime.launch import Child

FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
CHUNK = 1 << 14


def check(call: Call) -> None:
    """Refuse flags that go together wrongly, before anything is made."""
    preserved = call.number("preserve-fds") or 0
    for fd in range(3, 3 + preserved):
        try:
            os.fstat(fd)
        except OSError as error:
            message = f"unable to stat preserved-fd {fd - 3} (of {preserved}): {reason(error)}"
            raise RuntimeFailure(message, INVALID) from error
    if call.has("console-socket") and not os.path.exists(call.text("console-socket")):
        raise RuntimeFailure(f"console socket {call.text('console-socket')} does not exist", INVALID)


def hand_over(call: Call, child: Child, *, waits: bool) -> None:
    """Send the child's terminal to --console-socket; without one it stays with us, which only helps if we wait."""
    path = call.text("console-socket")
    if child.console is None:
        if path:
            raise RuntimeFailure("cannot use console socket if runc will not detach or allocate tty", INVALID)
        return
    if not path:
        if not waits:
            raise RuntimeFailure("cannot allocate tty if runc will detach without setting console socket", INVALID)
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(path)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [child.console]))]
            sock.sendmsg([b"/dev/ptmx"], rights)
    except OSError as error:
        raise RuntimeFailure(f"console socket {path}: {reason(error)}") from error
    os.close(child.console)
    child.console = None


@contextlib.contextmanager
def attended(child: Child) -> Iterator[None]:
    """Pass signals on to a child meanwhile; with a terminal of its own, ours is raw and lends it its size."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, number)

    def resize(_number: int, _frame: FrameType | None) -> None:
        if child.console is not None:
            terminal.resize(child.console, *terminal.size_of(0))

    with contextlib.ExitStack() as undo:
        for number in FORWARDED:
            undo.callback(signal.signal, number, signal.signal(number, forward))
        if child.console is not None and os.isatty(0):
            before = termios.tcgetattr(0)
            undo.callback(termios.tcsetattr, 0, termios.TCSADRAIN, before)
            terminal.make_raw(0)
            undo.callback(signal.signal, signal.SIGWINCH, signal.signal(signal.SIGWINCH, resize))
            resize(0, None)
        yield


def relay(child: Child) -> int:
    """Copy between our stdin, stdout and the child's terminal, if it is ours, until the child ends; return its code."""
    if child.console is not None:
        _copy(child.console)
        os.close(child.console)
        child.console = None
    return container.reap(child)


def _copy(master: int) -> None:
    """Copy until every holder of the terminal has gone, which a pty tells by EIO."""
    wanted = [0, master]
    while True:
        readable, _, _ = select.select(wanted, (), ())
        if 0 in readable:
            data = os.read(0, CHUNK)
            if data:
                _write(master, data)
            else:
                wanted.remove(0)
        if master in readable:
            try:
                data = os.read(master, CHUNK)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return
            _write(1, data)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
