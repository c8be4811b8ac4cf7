"""A request's body for code that reads in a thread while the loop receives. Used by load and import."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Read = Callable[[], Awaitable[bytes]]


class Body:
    """Pieces that a coroutine gives (an empty one ends it), as an iterator for one thread."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._reading: asyncio.Task[bytes] | None = None
        self._given_up = False
        self.size = 0

    async def run(self, work: Callable[[Iterator[bytes]], T]) -> T:
        """Run `work` on the pieces in a thread. When this is cancelled the thread has ended before it returns."""
        running = asyncio.ensure_future(asyncio.to_thread(work, self._pieces()))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._given_up = True
            if self._reading:
                self._reading.cancel()
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()
            raise

    def _pieces(self) -> Iterator[bytes]:
        while piece := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result():
            yield piece

    async def _next(self) -> bytes:
        if self._given_up:
            raise ConnectionResetError("the client is gone")
        self._reading = asyncio.ensure_future(self._read_one())
        try:
            return await self._reading
        except asyncio.CancelledError:
            raise ConnectionResetError("the client is gone") from None

    async def _read_one(self) -> bytes:
        piece = await self._read()
        self.size += len(piece)
        return piece
