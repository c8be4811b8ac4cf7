"""/build/cache: the cache that a build has made for elsewhere, fetched or pushed by its client; no part of Docker's."""

import asyncio

from aiohttp import web

from pydock_daemon.builder import sharing
from pydock_daemon.images import save
from pydock_daemon.images.auth import decode_header
from pydock_shared import reference

from .routing import Call
from .stream import progress_stream


async def fetch(call: Call) -> web.StreamResponse:
    """GET /build/cache/{id}: an OCI layout as an archive."""
    images, made = call.engine.images, call.engine.build_cache.exported(call.params["id"])
    with sharing.stored(images, made) as digest:
        response = call.streamed("application/x-tar")
        await response.prepare(call.request)
        pieces = save.layout(images, digest)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            await response.write(piece)
    await response.write_eof()
    return response


async def push(call: Call) -> web.StreamResponse:
    """POST /build/cache/{id}/push: to the name `ref`."""
    made = call.engine.build_cache.exported(call.params["id"])
    ref = reference.parse(call.query.get("ref", ""))
    login = decode_header(call.request.headers.get("X-Registry-Auth", ""))
    async with progress_stream(call) as stream:
        await sharing.send(call.engine.images, made, ref, login, stream.send)
    return await stream.finish()


ROUTES = (("GET", "/build/cache/{id}", fetch), ("POST", "/build/cache/{id}/push", push))
