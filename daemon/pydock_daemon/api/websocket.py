"""/containers/{id}/attach/ws: a container's streams for browsers, in messages of a websocket.

The supervisor is given one end of a pair of sockets, as it is given a client's own connection by /attach; what comes
and goes at the other end is passed on here, and ends with this process.
"""

import asyncio
import socket
from contextlib import suppress

from aiohttp import WSMsgType, web

from pydock_daemon.containers import attach as attaching
from pydock_daemon.containers.logdrivers import settings
from pydock_daemon.containers.logs import opener_of
from pydock_daemon.containers.model import Attachment
from pydock_shared.errors import InvalidArgument

from .routing import Call, Route
from .streams import detach_keys, replay

SINCE_BINARY = (1, 28)
SINCE_CHOICE = (1, 42)
"""Before it, all three streams were attached whatever was asked for."""
PIECE = 32 << 10
STREAMS = ("stdin", "stdout", "stderr")


async def attach(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/attach/ws: messages are binary and never multiplexed."""
    container = call.engine.containers.get(call.params["name"])
    attaching.check(container)
    keys = detach_keys(call.query.get("detachKeys"))
    wanted = {name: call.version < SINCE_CHOICE or call.flag(name) for name in STREAMS}
    if call.flag("logs"):
        opener_of(settings.reader_of(container))
    messages = web.WebSocketResponse(max_msg_size=1 << 20)
    if not messages.can_prepare(call.request):
        raise InvalidArgument("bad handshake: this is no request for a websocket")
    await messages.prepare(call.request)
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        with theirs:
            theirs.setblocking(False)
            passing = asyncio.create_task(_pass(call, messages, ours))
            try:
                if call.flag("logs"):
                    await replay(call, container, theirs, wanted, framed=False)
                if call.flag("stream"):
                    attachment = Attachment(socket=theirs.dup(), **wanted, multiplexed=False, detach_keys=keys)
                    await attaching.attach(call.engine.containers, container, attachment)
                call.engine.containers.publish(container, "attach")
            except BaseException:
                passing.cancel()
                await asyncio.gather(passing, return_exceptions=True)  # it uses the socket that is closed next
                raise
        await passing
    return messages


async def _pass(call: Call, messages: web.WebSocketResponse, ours: socket.socket) -> None:
    """Pass messages on, both ways, until one side is at its end."""
    binary = call.version >= SINCE_BINARY
    async with asyncio.TaskGroup() as group:
        output = group.create_task(_output(messages, ours, binary=binary))
        reading = group.create_task(_input(messages, ours))
        await asyncio.wait((output, reading), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            # The container is done: what the client still says is nobody's.
            await messages.close()
        for task in (output, reading):
            task.cancel()


async def _output(messages: web.WebSocketResponse, ours: socket.socket, *, binary: bool) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):  # the client has gone
        while data := await loop.sock_recv(ours, PIECE):
            if binary:
                await messages.send_bytes(data)
            else:
                await messages.send_str(data.decode("utf-8", "replace"))


async def _input(messages: web.WebSocketResponse, ours: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async for message in messages:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            break
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        try:
            await loop.sock_sendall(ours, data)
        except OSError:  # the container reads no more; what it writes still comes
            continue


ROUTES: tuple[Route, ...] = (("GET", "/containers/{name}/attach/ws", attach),)
