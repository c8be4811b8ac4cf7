"""A registry in the test's own process that takes blobs in and breaks connections on purpose."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class Taker:
    """Takes uploads; `faults` are for the PATCH requests to come, `received` is how much of each came."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.faults: list[str] = []
        self.received: list[int] = []
        self.host = ""
        self.end = asyncio.Event()
        self._numbers = itertools.count()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request."""
        name = request.path.rpartition("/")[2]
        if "/manifests/" in request.path:
            return web.Response(status=201)
        if request.method == "HEAD":
            return web.Response(status=200 if name in self.blobs else 404)
        if request.path.endswith("/v2/"):
            return web.Response()
        return await getattr(self, f"_{request.method.lower()}")(request, name)

    async def _post(self, request: web.BaseRequest, _name: str) -> web.StreamResponse:
        name = f"u{next(self._numbers)}"
        self.uploads[name] = bytearray()
        return self._there(name, 202)

    async def _get(self, _request: web.BaseRequest, name: str) -> web.StreamResponse:
        return self._there(name, 204) if name in self.uploads else web.Response(status=404)

    async def _patch(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdigit():
            return web.Response(status=int(fault))
        upload, length = self.uploads[name], int(request.headers["Content-Length"])
        assert request.headers["Content-Range"].startswith(f"{len(upload)}-")
        wanted = {"": length, "stall": 1}.get(fault, length // 2)
        got = 0
        while got < wanted and (piece := await request.content.readany()):
            upload += piece
            got += len(piece)
        self.received.append(got)
        if fault == "stall":
            await self.end.wait()
        if fault == "forget":
            del self.uploads[name]
        if fault and request.transport:
            request.transport.close()
        return self._there(name, 202)

    async def _put(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        digest = request.rel_url.query["digest"]
        data = bytes(self.uploads.pop(name))
        assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return web.Response(status=201)

    def _there(self, name: str, status: int) -> web.Response:
        size = len(self.uploads.get(name, b""))
        headers = {"Location": f"/v2/x/blobs/uploads/{name}", "Range": f"0-{max(size - 1, 0)}"}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def taking() -> AsyncIterator[Taker]:
    """A registry that runs for the block."""
    taker = Taker()
    runner = web.ServerRunner(web.Server(taker.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taker.host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield taker
    finally:
        taker.end.set()
        await asyncio.wait_for(runner.cleanup(), 10)
