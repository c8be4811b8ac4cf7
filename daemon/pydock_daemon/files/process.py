"""The daemon's side of work on a container's files: starts the confined child and speaks with it. Used by containers.

Whoever starts a `Child` leaves its context, which ends the process and with it every mount it made.
"""

import asyncio
import contextlib
import json
import os
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from pydock_daemon.snapshots import unpacking
from pydock_shared.errors import Conflict, Forbidden, InvalidArgument, NotFound, PydockError

COMMAND = unpacking.program("pydock_daemon.files.child")
LONGEST_LINE = 1 << 20
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
    """A running child."""

    def __init__(self, process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> None:
        self._process, self._output = process, output

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
        stdin = self._process.stdin
        assert stdin
        while piece := await read():
            stdin.write(piece)
            try:
                await stdin.drain()
            except ConnectionError:
                return  # it wants no more: its answer says why
        stdin.close()

    async def end(self) -> None:
        """End the child, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def started(verb: str, view: dict[str, Any], **fields: Any) -> AsyncIterator[Child]:
    """Start a child that has entered a view; Ended when the process that `view` names is no more."""
    request = json.dumps({"verb": verb, "view": view, **fields})
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    async with _pipe() as (output, end):
        with end:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                request,
                stdin=pipe if verb == "put" else nothing,
                stdout=end,
                pass_fds=[view["pidfd"]] if "pidfd" in view else [],
                env={},
            )
        child = Child(process, output)
        try:
            await child.answer()
            yield child
        finally:
            # A cancelled context must not leave the process: its mounts hold the container's folders.
            await asyncio.shield(child.end())


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, BinaryIO]]:
    """Give a pipe: a reader, and its other end, which is the caller's to close.

    asyncio's own pipe of a process would make its end wait for somebody to read what a stalled client does not take.
    """
    first, second = os.pipe()
    ours, theirs = os.fdopen(first, "rb", 0), os.fdopen(second, "wb", 0)
    reader, loop = asyncio.StreamReader(LONGEST_LINE), asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(reader)
    # A client may go at every point of this, and takes the request with it.
    with ours, theirs:
        transport, _ = await loop.connect_read_pipe(lambda: protocol, ours)
        try:
            yield reader, theirs
        finally:
            transport.close()


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
