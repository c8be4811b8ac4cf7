"""A container's streams in the messages of a websocket, as browsers attach."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api

SCRIPT = "echo early; read x; echo got $x >&2; cat >/dev/null; echo end"


@pytest.fixture
async def browser(daemon: Engine | RemoteEngine, tidy: None) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(daemon.socket)
    async with aiohttp.ClientSession("http://localhost", connector=connector) as made:
        yield made


def make(api: Api, command: list[str], **fields: Any) -> None:
    """Make the container `web`, whose input is that of its first client."""
    api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": command, **fields}, name="web")


async def until(messages: aiohttp.ClientWebSocketResponse, text: bytes, kind: aiohttp.WSMsgType) -> bytes:
    """What comes until a text has come."""
    seen = b""
    while text not in seen:
        message = await messages.receive(10)
        assert message.type is kind, message
        seen += message.data.encode() if isinstance(message.data, str) else message.data
    return seen


@pytest.mark.parametrize(("version", "kind"), [("1.27", "TEXT"), ("1.28", "BINARY"), ("1.45", "BINARY")])
async def test_both_ways(browser: aiohttp.ClientSession, api: Api, version: str, kind: str):
    make(api, ["sh", "-c", SCRIPT], OpenStdin=True, StdinOnce=True)
    query = "stream=1&stdin=1&stdout=1&stderr=1"
    async with browser.ws_connect(f"/v{version}/containers/web/attach/ws?{query}") as messages:
        await asyncio.to_thread(api.ok, "POST", "/containers/web/start")
        await until(messages, b"early\n", aiohttp.WSMsgType[kind])
        await messages.send_str("hello\n")
        await until(messages, b"got hello\n", aiohttp.WSMsgType[kind])
    # The client's end is the end of the container's input.
    await asyncio.to_thread(eventually, lambda: not api.ok("GET", "/containers/web/json")["State"]["Running"])
    assert api.ok("GET", "/containers/web/json")["State"]["ExitCode"] == 0


async def test_a_terminal_with_detach_keys(browser: aiohttp.ClientSession, api: Api):
    make(api, ["sh"], OpenStdin=True, Tty=True)
    api.ok("POST", "/containers/web/start")
    query = "stream=1&stdin=1&stdout=1&detachKeys=ctrl-x"
    async with browser.ws_connect(f"/containers/web/attach/ws?{query}") as messages:
        await messages.send_bytes(b"echo $((6*7))\n")
        await until(messages, b"42", aiohttp.WSMsgType.BINARY)
        await messages.send_bytes(b"\x18")
        async with asyncio.timeout(10):
            while (await messages.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
    assert api.ok("GET", "/containers/web/json")["State"]["Running"]


async def test_what_was_written_before(browser: aiohttp.ClientSession, api: Api):
    make(api, ["sh", "-c", "echo out; echo err >&2"])
    api.ok("POST", "/containers/web/start")
    api.ok("POST", "/containers/web/wait")
    async with browser.ws_connect("/containers/web/attach/ws?logs=1&stdout=1") as messages:
        assert (await messages.receive(10)).data == b"out\n"
        assert (await messages.receive(10)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_mistakes(browser: aiohttp.ClientSession, api: Api):
    make(api, ["true"])
    for path, status in (("nosuch/attach/ws", 404), ("web/attach/ws?detachKeys=zzz", 400)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await browser.ws_connect(f"/containers/{path}")
        assert caught.value.status == status
    async with browser.get("/containers/web/attach/ws") as answer:
        assert answer.status == 400
        assert "websocket" in await answer.text()


def sockets(pid: int) -> int:
    """How many connections a process has open; not the pipes, which are held for containers."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(entry).startswith("socket:")
    return found


async def test_a_client_that_vanishes(browser: aiohttp.ClientSession, api: Api, daemon: Engine | RemoteEngine):
    make(api, ["sh", "-c", "while :; do echo line; done"])
    api.ok("POST", "/containers/web/start")
    before = sockets(daemon.pid) if isinstance(daemon, Engine) else 0
    messages = await browser.ws_connect("/containers/web/attach/ws?stream=1&stdout=1")
    assert b"line" in (await messages.receive(10)).data
    response = messages._response
    assert response.connection
    assert response.connection.transport
    response.connection.transport.abort()
    # The container goes on; what the daemon had open for the client is closed.
    assert "line" in api.ok("GET", "/containers/web/logs", stdout="1", tail="1")
    if isinstance(daemon, Engine):
        await asyncio.to_thread(eventually, lambda: sockets(daemon.pid) <= before)
