"""A registry in the test's own process that misbehaves on purpose: it serves one image and one fault at a time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from tests.fixtures.archives import config, digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Liar:
    """Serves `name:1`; `fault` names what is wrong, `asked` is what clients asked for, in order."""

    def __init__(self, layers: list[bytes]) -> None:
        self.layers = {digest(layer): layer for layer in layers}
        self.config = config(layers)
        self.document = self.manifest()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.token = ""
        self.host = ""
        self.busy = ""
        self.ranges = True
        self.others: dict[str, bytes] = {}
        """Further documents by the end of their path, `manifests/x` and the like."""
        self.store = ""
        self.headers: list[tuple[str, ...]] = []
        self.layout: dict[str, bytes] = {}
        """Documents and blobs of an image of several platforms, served instead: the last one under its name."""
        self.gone: set[str] = set()
        self.end = asyncio.Event()
        self.link = ""
        self.answers: list[bytes] = []
        """What the token server says instead of a token."""

    def manifest(self, **changes: Any) -> bytes:
        """The image's manifest, with changes."""
        kind = "application/vnd.oci.image.layer.v1.tar"
        layers = [{"mediaType": kind, "digest": key, "size": len(data)} for key, data in self.layers.items()]
        about = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(self.config)}
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": about | {"size": len(self.config)},
            "layers": layers,
        }
        return json.dumps(document | changes).encode()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request."""
        self.asked.append(f"{request.method} {request.path_qs} {request.headers.get('Range', '')}".strip())
        self.headers.append(tuple(request.headers.get(name, "") for name in ("Authorization", "X-Key")))
        if self.busy:
            pause, _, self.busy = self.busy.partition(" ")
            return web.Response(status=429, headers={"Retry-After": pause})
        if request.path == "/token":
            return await self._token(request)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            challenge = f'Bearer realm="http://{self.host}/token",service="liar, inc",scope="repository:name:pull"'
            errors = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
            return web.json_response(errors, status=401, headers={"WWW-Authenticate": challenge})
        if request.path == "/v2/":
            return web.Response()
        kind, name = request.path.split("/")[-2:]
        if f"{kind}/{name}" in self.others:
            link = {"Link": self.link} if self.link else {}
            return web.Response(body=self.others[f"{kind}/{name}"], content_type=MANIFEST, headers=link)
        if kind == "referrers" or name.endswith(".sig"):
            return web.Response(status=404)
        if self.layout:
            return self._of_layout(request.path.rpartition("/")[2])
        if "/manifests/" in request.path:
            return web.Response(body=self.document, content_type=MANIFEST)
        return await self._blob(request, request.path.rpartition("/")[2])

    def _of_layout(self, name: str) -> web.Response:
        found = self.layout.get(name, [*self.layout.values()][-1] if ":" not in name else None)
        if found is None or name in self.gone:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}, status=404)
        return web.Response(body=found)

    async def _token(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.faults == ["no token"]:
            return web.Response(status=500)
        if self.answers:
            return web.Response(body=self.answers.pop(0))
        return web.json_response({"token": self.token})

    async def _blob(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        data = self.config if name == digest(self.config) else self.layers[name]
        if self.store:
            raise web.HTTPTemporaryRedirect(f"http://{self.store}{request.path}")
        fault = self.faults.pop(0) if self.faults and data is not self.config else ""
        first, _, last = request.headers.get("Range", "bytes=0-")[6:].partition("-")
        begin = int(first)
        if fault == "502":
            return web.Response(status=502)
        lies = {"other bytes": bytes(len(data)), "more bytes": data + b"more", "fewer bytes": data[:-1000]}
        data = lies.get(fault, data)
        end = min(int(last) + 1 if last else len(data), len(data))
        if fault == "no ranges" or not self.ranges:
            begin, end = 0, len(data)
        partial = end - begin < len(data)
        response = web.StreamResponse(status=206 if partial else 200)
        if partial:
            response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
        response.content_length = end - begin
        await response.prepare(request)
        if fault in ("drop", "no ranges", "stall"):
            await response.write(data[begin : begin + (end - begin) // 2])
            if fault == "stall":
                await self.end.wait()
            if request.transport:
                request.transport.close()
            return response
        await response.write(data[begin:end])
        return response


@asynccontextmanager
async def lying(layers: list[bytes]) -> AsyncIterator[Liar]:
    """A registry that runs for the block."""
    liar = Liar(layers)
    runner = web.ServerRunner(web.Server(liar.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    liar.host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield liar
    finally:
        liar.end.set()
        await asyncio.wait_for(runner.cleanup(), 10)
