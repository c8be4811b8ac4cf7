"""Streams of JSON records: progress of pull, load and the like, and events. Used by handlers that report as they go."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pydock_shared.errors import PydockError, described

from .routing import Call, encoded

SEQUENCE = "application/json-seq"
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ProgressStream:
    """A chunked answer that begins with its first record, so that an error before it still has its own status."""

    def __init__(self, call: Call, content_type: str, end: bytes) -> None:
        self._call, self._type, self._end = call, content_type, end
        self._start = b"\x1e" if content_type == SEQUENCE else b""  # RFC 7464
        self.response: web.StreamResponse | None = None

    async def start(self) -> web.StreamResponse:
        """Send the headers, once."""
        if self.response is None:
            self.response = self._call.streamed(self._type)
            await self.response.prepare(self._call.request)
        return self.response

    async def send(self, record: dict[str, Any]) -> None:
        """Send one record on a line of its own."""
        response = await self.start()
        await response.write(self._start + encoded(record) + self._end)

    async def finish(self) -> web.StreamResponse:
        """End the answer and return it to the server."""
        response = await self.start()
        await response.write_eof()
        return response


@asynccontextmanager
async def progress_stream(
    call: Call, content_type: str = "application/json", end: bytes = b"\r\n"
) -> AsyncIterator[ProgressStream]:
    """Give a stream whose `send` writes records; an error after the first one becomes a record, as in Docker.

    The handler returns `await stream.finish()` after the block. In Docker only records of progress end with CR and LF.
    """
    stream = ProgressStream(call, content_type, end)
    try:
        yield stream
    except (PydockError, OSError) as error:
        if stream.response is None or isinstance(error, ConnectionError):
            raise
        message = error.message if isinstance(error, PydockError) else described(error)
        code = {"code": error.exit_code} if hasattr(error, "exit_code") else {}
        await stream.send({"errorDetail": {**code, "message": message}, "error": message})
