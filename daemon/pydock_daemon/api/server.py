"""The HTTP server: from a request to its handler and back, without a framework in between. Run by `app`.

aiohttp's low-level server gives a bare request; the routes of all files of `api` are one table.
"""

import asyncio
import os

from aiohttp import web

from pydock_daemon.engine import Engine
from pydock_shared.errors import NotFound, PydockError

from . import containers, events, exec, images, networks, system, volumes
from .errors import answer
from .routing import Call, Router
from .versions import NEWEST, split, text

ROUTER = Router(
    route for module in (system, containers, exec, images, networks, volumes, events) for route in module.ROUTES
)
SERVER = f"Pydock/0.1.0 ({os.uname().sysname.lower()})"


class Edge:
    """Answers requests on behalf of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Find the handler and run it; every error becomes an answer here."""
        try:
            response = await self._dispatch(request)
        except (asyncio.CancelledError, ConnectionError, web.HTTPException):
            raise
        except Exception as error:
            response = answer(error)
        if not response.prepared:
            response.headers["Api-Version"] = text(NEWEST)
            response.headers["Server"] = SERVER
            response.headers["Ostype"] = "linux"
            response.headers["Docker-Experimental"] = "false"
        return response

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        version, path = split(request.rel_url.raw_path)
        found = ROUTER.find(request.method, path)
        if not found:
            raise NotFound("page not found")
        handler, params = found
        return await handler(Call(self._engine, request, params, version))


def listen_error(host: str, error: OSError) -> PydockError:
    """Return the error of a socket that cannot be listened on."""
    return PydockError(f"cannot listen on {host}: {error.strerror or error}")
