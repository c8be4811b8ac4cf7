"""The daemon's side of work on a container's files: starts the confined child and speaks with it. Used by containers.

Whoever starts a `Child` leaves its context, which ends the process and with it every mount it made.
"""

import asyncio
import json
import os
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

from pydock_daemon.forkserver.client import ForkServer, Process
from pydock_shared.errors import Conflict, Forbidden, InvalidArgument, NotFound, PydockError

LONGEST_LINE = 1 << 20
STDERR = 2
MORE = 4
"""The number that the first descriptor besides the usual ones has in a child."""
PIECE = 1 << 18


class Ended(Conflict):
    """The container whose mounts were to be entered has ended."""


class NoSuchFile(NotFound):
    """There is nothing under the path."""


ERRORS: dict[str, Callable[[str], PydockError]] = {
    "gone": Ended,
    "missing": NoSuchFile,
    "invalid": InvalidArgument,
    "read-only": Forbidden,
    "failed": PydockError,
}


class Child:
    """A running child; `feed` is for one that has an `entry`, its standard input."""

    def __init__(self, process: Process, output: asyncio.StreamReader, entry: asyncio.StreamWriter | None) -> None:
        self._process, self._output, self._entry = process, output, entry

    async def answer(self) -> dict[str, Any]:
        """Return the next line; what went wrong is raised as the error that it is."""
        line = await self._output.readline()
        if not line:
            raise PydockError(f"work on the container's files ended with code {await self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ERRORS[found["kind"]](found["error"])
        return found

    async def read(self) -> bytes:
        """Return a piece of what follows the last answer, nothing at its end; PydockError when it is not whole."""
        piece = await self._output.read(PIECE)
        if not piece and (code := await self._process.wait()):
            raise PydockError(f"reading the container's files ended with code {code}")
        return piece

    async def feed(self, read: Callable[[], Awaitable[bytes]]) -> dict[str, Any]:
        """Give the pieces of `read` to the child and return its answer, which may come before their end."""
        feeding, answering = asyncio.ensure_future(self._feed(read)), asyncio.ensure_future(self.answer())
        try:
            await asyncio.wait([feeding, answering], return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            return await answering
        finally:
            for task in (feeding, answering):
                task.cancel()
            await asyncio.gather(feeding, answering, return_exceptions=True)

    async def _feed(self, read: Callable[[], Awaitable[bytes]]) -> None:
        assert self._entry
        while piece := await read():
            self._entry.write(piece)
            try:
                await self._entry.drain()
            except ConnectionError:
                return  # it wants no more: its answer says why
        self._entry.write_eof()

    async def end(self) -> None:
        """End the child, whatever it does."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def started(forks: ForkServer, verb: str, view: dict[str, Any], **fields: Any) -> AsyncIterator[Child]:
    """Start a child that has entered a view; Ended when the process that `view` names is no more."""
    more = [view["pidfd"]] if "pidfd" in view else []
    request = json.dumps({"verb": verb, "view": {**view, "pidfd": MORE} if more else view, **fields})
    async with AsyncExitStack() as stack:
        with ExitStack() as handed_over:
            exit_, output = await _output(stack, handed_over)
            entrance, entry = await _entry(stack, handed_over) if verb == "put" else (None, None)
            process = await forks.fork("files", request, (entrance, exit_, STDERR), *more)
        child = Child(process, output, entry)
        try:
            await child.answer()
            yield child
        finally:
            # A cancelled context must not leave the process: its mounts hold the container's folders.
            await asyncio.shield(child.end())


async def _output(stack: AsyncExitStack, handed_over: ExitStack) -> tuple[int, asyncio.StreamReader]:
    """Make a pipe: the child's end of it, and a reader."""
    ours, theirs = os.pipe()
    handed_over.callback(os.close, theirs)
    file = stack.enter_context(os.fdopen(ours, "rb", 0))
    reader, loop = asyncio.StreamReader(LONGEST_LINE), asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, file)
    stack.callback(transport.close)
    return theirs, reader


async def _entry(stack: AsyncExitStack, handed_over: ExitStack) -> tuple[int, asyncio.StreamWriter]:
    """Make a pair of sockets: the child's one, and a writer on the other."""
    ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
    handed_over.callback(theirs.close)
    _, writer = await asyncio.open_unix_connection(sock=ours)
    stack.callback(writer.transport.abort)
    return theirs.fileno(), writer


def is_of(pid: int, pidfd: int, word: str) -> bool:
    """Say whether the process of a descriptor has a word in its cgroup's path, and still is there.

    A number may have passed to another process between the record and the descriptor.
    """
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            found = word in file.read()
    except OSError:
        return False
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    return found and not ended.poll(0)


def has_users(pid: int) -> bool:
    """Say whether a process is in a user namespace other than ours, whatever settings it was started with."""
    try:
        return not os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")
    except FileNotFoundError:
        return False  # it has ended, which shows when something is asked of it
