"""Streams of JSON records: progress of pull, load and the like, and events. Used by handlers that report as they go."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pydock_shared.errors import PydockError, described

from .routing import Call

FRAMES = {
    "application/json": (b"", b"\r\n"),
    "application/x-ndjson": (b"", b"\n"),
    "application/jsonl": (b"", b"\n"),
    "application/json-seq": (b"\x1e", b"\n"),
}
"""What stands before and after a record: RFC 7464 for the last."""
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ProgressStream:
    """A chunked answer that begins with its first record, so that an error before it still has its own status."""

    def __init__(self, call: Call, content_type: str = "application/json") -> None:
        self._call, self._type = call, content_type
        self.response: web.StreamResponse | None = None

    async def start(self) -> web.StreamResponse:
        """Send the headers, once."""
        if self.response is None:
            self.response = web.StreamResponse(headers={"Content-Type": self._type})
            self.response.enable_chunked_encoding()
            await self.response.prepare(self._call.request)
        return self.response

    async def send(self, record: dict[str, Any]) -> None:
        """Send one record on a line of its own."""
        response = await self.start()
        start, end = FRAMES[self._type]
        await response.write(start + json.dumps(record).encode() + end)

    async def finish(self) -> web.StreamResponse:
        """End the answer and return it to the server."""
        response = await self.start()
        await response.write_eof()
        return response


@asynccontextmanager
async def progress_stream(call: Call, content_type: str = "application/json") -> AsyncIterator[ProgressStream]:
    """Give a stream whose `send` writes records; an error after the first one becomes a record, as in Docker.

    The handler returns `await stream.finish()` after the block.
    """
    stream = ProgressStream(call, content_type)
    try:
        yield stream
    except (PydockError, OSError) as error:
        if stream.response is None or isinstance(error, ConnectionError):
            raise
        message = error.message if isinstance(error, PydockError) else described(error)
        code = {"code": error.exit_code} if hasattr(error, "exit_code") else {}
        await stream.send({"errorDetail": {**code, "message": message}, "error": message})
