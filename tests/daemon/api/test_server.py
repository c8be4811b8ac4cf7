"""What becomes of an error that nobody foresaw, before an answer has begun and after."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web

from pydock_daemon.api.server import Edge


class Breaking(Edge):
    """Fails on every path, on `/late` in the middle of its answer."""

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/late":
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(b"so far")
        raise RuntimeError("nobody foresaw it")


async def test_an_answer_that_has_begun_is_cut_off_and_no_second_one_follows(tmp_path: Path) -> None:
    engine = SimpleNamespace(config=SimpleNamespace(experimental=False))
    runner = web.ServerRunner(web.Server(Breaking(cast(Any, engine))))
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "sock")).start()
    try:
        assert b"internal error: RuntimeError: nobody foresaw it" in await asked(tmp_path, "/early")
        late = await asked(tmp_path, "/late")
        assert b"so far" in late
        assert late.count(b"HTTP/1.1") == 1
        assert not late.endswith(b"0\r\n\r\n")
    finally:
        await asyncio.wait_for(runner.cleanup(), 10)


async def asked(folder: Path, path: str) -> bytes:
    """Everything that comes for a request, until the connection ends."""
    reader, writer = await asyncio.open_unix_connection(str(folder / "sock"))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(4096), 10):
            data += piece
    writer.close()
    return data
