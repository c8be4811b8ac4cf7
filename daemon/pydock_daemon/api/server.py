"""The HTTP server: from a request to its handler and back, without a framework in between. Run by `app`.

aiohttp's low-level server gives a bare request; the routes of all files of `api` are one table.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from pydock_daemon.engine import Engine
from pydock_shared.errors import InvalidArgument, NotFound

from . import (
    absent,
    archives,
    build,
    buildcache,
    buildkit,
    buildsession,
    checkpoints,
    containers,
    events,
    exec,
    images,
    networks,
    openapi,
    registries,
    stats,
    streams,
    system,
    upkeep,
    usage,
    volumes,
    websocket,
)
from .errors import answer
from .hijack import Over
from .routing import Call, Route, Router, identity
from .versions import split

MODULES = (
    *(system, usage, upkeep, containers, stats, archives, streams, websocket, exec),
    *(registries, images, networks, volumes, build, buildcache, buildkit, buildsession, events, checkpoints, absent),
)
ROUTES: list[Route] = [route for module in MODULES for route in module.ROUTES]
ROUTES.append(openapi.route(ROUTES))
ROUTER = Router(ROUTES)
GIVEN_UP = (
    *(containers.wait_container, archives.put_archive, images.create_image, images.load_images, build.build_image),
    *(buildkit.grpc, buildkit.session, buildcache.push),
)
"""Besides reads, what ends when the client goes: nobody waits for it any more."""
LARGEST_BODY = 16 << 20
"""Bytes of a JSON document; archives are read piece by piece and have no limit."""
NO_ESCAPE = re.compile("%(?![0-9a-fA-F]{2}).{0,2}")
log = logging.getLogger("pydockd.api")


def request(message: Any, payload: Any, protocol: Any, writer: Any, task: "asyncio.Task[None]") -> web.BaseRequest:
    """Make the request of a message; for aiohttp, whose own limit of a body is a megabyte."""
    loop = asyncio.get_running_loop()
    protocol.asked = message.method, message.url.raw_path, payload
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)


def _ends_with_its_client(method: str, handler: Any) -> bool:
    return method == "GET" or handler in GIVEN_UP


def changes(method: str, raw_path: str) -> bool:
    """Say whether a request is for a change, which is ended whether the client stays or not."""
    try:
        found = ROUTER.find(method, split(raw_path)[1])
    except InvalidArgument:
        found = None
    return not _ends_with_its_client(method, found[0] if found else None)


def _check_escapes(raw_path: str) -> None:
    """Raise InvalidArgument for a path or a parameter with what is no escape, in Go's words, or a null character."""
    if "%00" in raw_path:
        raise InvalidArgument("invalid request: no name and no parameter has a null character")
    if wrong := NO_ESCAPE.search(raw_path):
        raise InvalidArgument(f'invalid URL escape "{wrong[0]}"')


class Edge:
    """Answers requests on behalf of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read: set[asyncio.Task[Any]] = set()
        self._changes: dict[asyncio.Future[web.StreamResponse], web.BaseRequest] = {}

    async def close(self, patience: float) -> None:
        """End the daemon's part of everything: reads at once, and what has not begun because its request is not whole.

        Changes under way have `patience` seconds.
        """
        for task in self._read:
            task.cancel()
        for change, request in self._changes.items():
            if not request.content.is_eof():
                change.cancel()
        if self._changes:
            await asyncio.wait(self._changes, timeout=patience)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Find the handler and run it; every error becomes an answer here."""
        try:
            response = await self._dispatch(request)
        except (asyncio.CancelledError, web.HTTPException):
            raise
        except ConnectionError as error:
            log.debug("%s %s: the client has gone: %s", request.method, request.path, error)
            return Over()
        except Exception as error:
            response = answer(error)
            if request.writer.output_size and request.transport:
                # An answer has begun: it is cut off, since a second one would be read as its rest.
                request.transport.abort()
                return Over()
        if not response.prepared:
            response.headers.update(identity(self._engine.config))
        return response

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        version, path = split(request.rel_url.raw_path)
        if "%" in request.raw_path:
            _check_escapes(request.raw_path)
        found = ROUTER.find(request.method, path)
        if not found:
            raise NotFound("page not found")
        handler, params = found
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            # Who sends much asks first, and sends it anyway after a second or so: curl, above a megabyte.
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        answering = handler(Call(self._engine, request, params, version))
        if _ends_with_its_client(request.method, handler):
            return await self._as_long_as_asked(answering)
        # A change that was begun is ended, whether the client stays or not.
        change = asyncio.ensure_future(answering)
        self._changes[change] = request
        change.add_done_callback(self._changes.pop)
        return await asyncio.shield(change)

    async def _as_long_as_asked(self, answering: Awaitable[web.StreamResponse]) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._read.add(task)
        try:
            return await answering
        finally:
            self._read.discard(task)
