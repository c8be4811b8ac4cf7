"""/grpc and /session: BuildKit's protocols, on connections that HTTP/1.1 gives up for HTTP/2. And their older form.

What speaks them is imported when the first of them comes: a daemon that nobody builds with is lighter by it.
"""

import asyncio
import base64
import contextlib
import uuid
from typing import Any

from aiohttp import web

from pydock_shared.errors import InvalidArgument, PydockError

from .hijack import hijack
from .routing import Call, empty
from .stream import ProgressStream, progress_stream

PROTOCOL = "h2c"


def _check(call: Call) -> None:
    headers = call.request.headers
    if "upgrade" not in headers.get("Connection", "").lower():
        raise InvalidArgument("no upgrade proto in request")
    if headers.get("Upgrade", "").lower() != PROTOCOL:
        raise InvalidArgument(f"protocol {headers.get('Upgrade', '')} not supported")


async def grpc(call: Call) -> web.StreamResponse:
    """POST /grpc: the client asks."""
    _check(call)
    from pydock_daemon.buildkit.services import Services
    from pydock_daemon.buildkit.transport import serve

    await call.request.read()
    hijacked = hijack(call.request, protocol=PROTOCOL)
    await serve(hijacked.socket, Services(call.engine, call.engine.buildkit).methods())
    return hijacked


async def session(call: Call) -> web.StreamResponse:
    """POST /session: the client answers, for as long as it likes."""
    _check(call)
    from pydock_daemon.buildkit.session import identity, serve

    headers = call.request.headers
    who = identity(lambda name: headers.getall(name, ()))
    await call.request.read()
    hijacked = hijack(call.request, protocol=PROTOCOL)
    await serve(call.engine.buildkit.sessions, hijacked.socket, who)
    return hijacked


async def build(call: Call) -> web.StreamResponse:
    """POST /build?version=2: a build asked for by a request, told as records with BuildKit's messages in them.

    The files come by the session, as the body, or as the body of another request.
    """
    from pydock_daemon.buildkit import query
    from pydock_daemon.buildkit.jobs import Job

    ref = call.query.get("buildid", "") or uuid.uuid4().hex
    if ref.startswith(f"{query.UPLOADED}:"):
        return await _upload(call, ref.partition(":")[2])
    request = query.solve(call.query, ref)
    async with contextlib.AsyncExitStack() as stack:
        pieces = None
        if call.query.get("remote", "") == query.UPLOADED:
            upload = await call.engine.buildkit.uploads.get(ref)
            stack.callback(upload.done.set)
            pieces = upload.pieces
        elif not call.query.get("remote", ""):
            pieces = call.request.content.iter_any()
        job = Job(call.engine, call.engine.buildkit, request, pieces)
        async with progress_stream(call) as stream:
            await _told(stream, job, quiet=call.flag("q"))
    return await stream.finish()


async def _told(stream: ProgressStream, job: Any, *, quiet: bool) -> None:
    """Run a build and tell of it; when quiet, of its result alone."""
    running = asyncio.ensure_future(job.run())
    try:
        async for message in job.telling.follow():
            encoded = base64.b64encode(message.SerializeToString()).decode()
            if not quiet:
                await stream.send({"id": "moby.buildkit.trace", "aux": encoded})
        await asyncio.wait([running])
    finally:
        running.cancel()
        await asyncio.shield(asyncio.wait([running]))
    if running.cancelled():
        raise PydockError("context canceled")
    if digest := running.result().get("containerimage.digest"):
        await stream.send({"stream": f"{digest}\n"} if quiet else {"id": "moby.image.id", "aux": {"ID": digest}})


class _Upload:
    """The body of a request that is the context of another."""

    def __init__(self, call: Call) -> None:
        self.pieces = call.request.content.iter_any()
        self.done = asyncio.Event()


async def _upload(call: Call, ref: str) -> web.StreamResponse:
    upload, uploads = _Upload(call), call.engine.buildkit.uploads
    uploads.put(ref, upload)
    try:
        await upload.done.wait()
    finally:
        uploads.drop(ref, upload)
    return web.Response()


async def cancel(call: Call) -> web.StreamResponse:
    """POST /build/cancel: end a build of version 2 by its id; one that is over is no error."""
    name = call.query.get("id", "")
    if not name:
        raise InvalidArgument("build ID not provided")
    job = call.engine.buildkit.jobs.find(name)
    if job:
        job.cancel()
    return empty(200)


ROUTES = (("POST", "/grpc", grpc), ("POST", "/session", session), ("POST", "/build/cancel", cancel))
