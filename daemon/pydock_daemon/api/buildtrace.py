"""How a build by the classic protocol tells of itself: in Docker's words, or by BuildKit's vertices as JSON.

The second is an extension of the API, asked for by `trace=1`: records `{"id": "moby.buildkit.trace.json", "aux": ...}`
with what `docker buildx build --progress rawjson` writes (SolveStatus of BuildKit's client package).
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydock_daemon.builder.options import Options
from pydock_daemon.builder.report import Report
from pydock_daemon.builder.words import Words
from pydock_shared.times import rfc3339

from .stream import ProgressStream

ID = "moby.buildkit.trace.json"


@asynccontextmanager
async def reported(stream: ProgressStream, options: Options, *, traced: bool) -> AsyncIterator[Report]:
    """Give the report of a build; all that was told is sent when the block ends."""
    if not traced:
        yield Words(stream.send, quiet=options.quiet, lean=not options.classic)
        return
    from pydock_daemon.buildkit.progress import Telling, Vertices

    telling = Telling()
    sending = asyncio.create_task(_send(stream, telling))
    try:
        yield Vertices(telling, exported=True)
    finally:
        telling.end()
        await sending


async def _send(stream: ProgressStream, telling: Any) -> None:
    async for message in telling.follow():
        await stream.send({"id": ID, "aux": status(message)})


def status(message: Any) -> dict[str, Any]:
    """Return a Status of BuildKit as its client writes it."""
    found = {
        "vertexes": [_vertex(one) for one in message.vertexes],
        "statuses": [_progress(one) for one in message.statuses],
        "logs": [_log(one) for one in message.logs],
    }
    return {name: list_ for name, list_ in found.items() if list_}


def _vertex(one: Any) -> dict[str, Any]:
    fields = {"inputs": list(one.inputs), "cached": one.cached, "error": one.error}
    return {"digest": one.digest, "name": one.name} | _set(fields) | _times(one, "started", "completed")


def _progress(one: Any) -> dict[str, Any]:
    fields = {"id": one.ID, "vertex": one.vertex, "name": one.name, "current": one.current}
    return fields | _set({"total": one.total}) | _times(one, "timestamp", "started", "completed")


def _log(one: Any) -> dict[str, Any]:
    data = base64.b64encode(one.msg).decode()
    return {"vertex": one.vertex, "stream": one.stream, "data": data} | _times(one, "timestamp")


def _set(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _times(one: Any, *names: str) -> dict[str, str]:
    stamps = {name: getattr(one, name) for name in names if one.HasField(name)}
    return {name: rfc3339(stamp.seconds * 10**9 + stamp.nanos) for name, stamp in stamps.items()}
