"""The daemon's side of the fork server: starts it when a child is wanted, and gives its children. Used by snapshots."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import isal
import zstandard

import pydock_daemon
import pydock_runtime
from pydock_shared.errors import PydockError

from .server import STATUS

IDLE = 60.0
"""Seconds without children after which the server ends and gives its memory back."""
LOST = -9
"""How a child ended whose server was killed: as that was."""
FULL = 0.01
"""Seconds until a channel without room is tried again."""
_FOLDERS = [pydock_daemon, pydock_runtime, isal, zstandard]


def command() -> tuple[str, ...]:
    """Return the command of the server: a bare interpreter, which loads nothing by itself."""
    folders = list(dict.fromkeys(str(Path(str(module.__file__)).parents[1]) for module in _FOLDERS))
    boot = f"import sys; sys.path += {folders!r}; from pydock_daemon.forkserver.server import main; main()"
    return (sys.executable, "-I", "-S", "-X", "utf8", "-c", boot)


class Process:
    """A child of the server."""

    def __init__(self, lifeline: socket.socket) -> None:
        self._lifeline = lifeline
        self.ended: asyncio.Task[int] = asyncio.create_task(self._status())
        """Done with its exit code, as of `subprocess`, once it has ended. Not to be cancelled."""

    async def wait(self) -> int:
        """Return the exit code when it has ended."""
        return await asyncio.shield(self.ended)

    async def _status(self) -> int:
        with self._lifeline:
            try:
                told = await asyncio.get_running_loop().sock_recv(self._lifeline, STATUS.size)
            except ConnectionError:
                told = b""
        return int(STATUS.unpack(told)[0]) if told else LOST

    def kill(self) -> None:
        """End it, whatever it does; `wait` tells when it has ended."""
        with suppress(OSError):
            self._lifeline.shutdown(socket.SHUT_WR)


class ForkServer:
    """The server of one daemon, and its only owner."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._children: set[Process] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._asking = asyncio.Lock()

    async def fork(self, program: str, request: str, files: Sequence[int | None], *more: int) -> Process:
        """Start a program of `server.PROGRAMS` and return its process.

        `files` are its standard input, output and errors, None for /dev/null; `more` are the descriptors 4 and on. All
        stay the caller's. PydockError when the server cannot be had.
        """
        with ExitStack() as stack:
            wanted = os.memfd_create("request")
            stack.callback(os.close, wanted)
            Path(f"/proc/self/fd/{wanted}").write_text(request)
            nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, nothing)
            ours, theirs = socket.socketpair()
            stack.callback(theirs.close)
            ours.setblocking(False)
            given = [theirs.fileno(), *(nothing if file is None else file for file in files), wanted, *more]
            try:
                async with self._asking:
                    await self._ask(program, given)
            except BaseException:
                ours.close()
                raise
        return self._kept(Process(ours))

    async def _ask(self, program: str, files: list[int]) -> None:
        """Send a message; a server that was killed is replaced by a new one."""
        for _ in range(2):
            channel = self._open()
            try:
                while True:
                    try:
                        socket.send_fds(channel, [program.encode()], files)
                        return
                    except BlockingIOError:
                        await asyncio.sleep(FULL)
            except ConnectionError:
                self.close()
        raise PydockError("the server of child processes does not answer")

    def _open(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._server = subprocess.Popen(command(), stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env={})
            ours.setblocking(False)
            self._channel = ours
        return self._channel

    def _kept(self, child: Process) -> Process:
        if self._idle:
            self._idle.cancel()
            self._idle = None
        self._children.add(child)
        child.ended.add_done_callback(lambda _: self._left(child))
        return child

    def _left(self, child: Process) -> None:
        self._children.discard(child)
        if not self._children:
            if self._idle:
                self._idle.cancel()
            self._idle = asyncio.get_running_loop().call_later(IDLE, self.close)

    def close(self) -> None:
        """End the server and with it its children; the next `fork` starts another."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if self._channel:
            self._channel.close()
            self._channel = None
        if self._server:
            self._server.kill()
            self._server.wait()
            self._server = None
