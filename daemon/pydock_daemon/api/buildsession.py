"""/build/session: the connection on which a build asks `pydock build` for secrets and an ssh agent.

An extension of the API, since the classic protocol has no such way. The client opens `POST /build/session?id=ID` as a
raw stream before it builds with `session=ID`, and gets lines of JSON, each a question that it answers by a line with
the same `number`:

    {"number": 1, "secret": "token"}      {"number": 1, "value": "<base64>"}, or null for none of that name
    {"number": 2, "agent": "default"}     {"number": 2, "value": true}
    {"number": 3, "connect": "default"}   {"number": 3, "value": true}, once the client has opened
                                          `POST /build/session/ID/3`, a raw stream to its agent

Nothing of it is stored; a session is at its end with its connection.
"""

import asyncio
import base64
import binascii
import contextlib
import itertools
import json
import re
from typing import Any

from aiohttp import web

from pydock_daemon.images.auth import Credentials
from pydock_shared.errors import Conflict, InvalidArgument, NotFound

from .hijack import RAW, Hijacked, hijack
from .routing import Call

LARGEST = 500 * 1024
"""Bytes of a secret, as in BuildKit."""
LONGEST_LINE = 1 << 20
PATIENCE = 60.0
PIECE = 1 << 16
NAME = re.compile("[A-Za-z0-9]{16,64}")


class Lines:
    """A session on a stream of lines: `builder.session.Session`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._connections: dict[int, asyncio.Future[Hijacked]] = {}
        self.logins: dict[str, Credentials] = {}

    async def run(self) -> None:
        """Read answers until the client goes."""
        try:
            while line := await self._reader.readline():
                answer = json.loads(line)
                waiting = self._asked.get(answer["number"])
                if waiting and not waiting.done():
                    waiting.set_result(answer.get("value"))
        except (ValueError, KeyError, TypeError, OSError):
            return  # what is no answer ends the session
        finally:
            for waiting in [*self._asked.values(), *self._connections.values()]:
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the client of the build has gone"))
                    waiting.exception()  # perhaps nobody waits for it

    async def secret(self, name: str) -> bytes | None:
        """Return a secret, None when the client has none of that name."""
        value = await self._ask(next(self._numbers), secret=name)
        if value is None:
            return None
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise InvalidArgument(f"secret {name}: the client's answer is malformed") from error
        if len(data) > LARGEST:
            raise InvalidArgument(f"secret {name}: too large: more than {LARGEST} bytes")
        return data

    async def has_agent(self, name: str) -> bool:
        """Say whether the client has an ssh agent of that name."""
        return await self._ask(next(self._numbers), agent=name) is True

    async def credentials(self, domain: str) -> Credentials:
        """Return the login for a registry, from the header of the build."""
        return self.logins.get(domain, Credentials())

    async def forward(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection to the client's agent until either side ends it."""
        number = next(self._numbers)
        opened = self._connections[number] = asyncio.get_running_loop().create_future()
        try:
            await self._ask(number, connect=name)
            async with asyncio.timeout(PATIENCE):
                connection = await opened
            with connection.socket as sock:
                theirs, ours = await asyncio.open_connection(sock=sock)
                try:
                    await _both(reader, ours, theirs, writer)
                finally:
                    ours.close()
        except TimeoutError as error:
            raise ConnectionResetError("the client of the build does not answer") from error
        finally:
            del self._connections[number]

    def connected(self, number: int, connection: Hijacked) -> bool:
        """Take in a connection to the agent that was asked for; False when it was not."""
        waiting = self._connections.get(number)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(connection)
        return True

    async def _ask(self, number: int, **question: str) -> Any:
        waiting = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(json.dumps({"number": number, **question}).encode() + b"\n")
            await self._writer.drain()
            async with asyncio.timeout(PATIENCE):
                return await waiting
        except TimeoutError as error:
            raise ConnectionResetError("the client of the build does not answer") from error
        finally:
            del self._asked[number]


async def _both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    other: asyncio.StreamReader,
    back: asyncio.StreamWriter,
) -> None:
    """Carry bytes both ways until one side ends."""

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                target.write(piece)
                await target.drain()

    ways = [asyncio.ensure_future(carry(reader, writer)), asyncio.ensure_future(carry(other, back))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


_open: dict[tuple[str, str], Lines] = {}
"""By the id of the engine and that of the session."""


def find(call: Call, name: str) -> Lines:
    """Return a session that is open; InvalidArgument when there is none of that id."""
    found = _open.get((call.engine.id, name))
    if found is None:
        raise InvalidArgument(f"no active session for {name}")
    return found


async def open_session(call: Call) -> web.StreamResponse:
    """POST /build/session: the request ends when the client closes the stream."""
    name = call.query.get("id", "")
    if not NAME.fullmatch(name):
        raise InvalidArgument("the id of a session has 16 to 64 letters and digits")
    if (call.engine.id, name) in _open:
        raise Conflict(f"a session of the id {name} is open already")
    await call.request.read()
    hijacked = hijack(call.request, content_type=RAW)
    with hijacked.socket as sock:
        reader, writer = await asyncio.open_connection(sock=sock, limit=LONGEST_LINE)
        _open[call.engine.id, name] = session = Lines(reader, writer)
        try:
            await session.run()
        finally:
            del _open[call.engine.id, name]
            writer.close()
    return hijacked


async def open_connection(call: Call) -> web.StreamResponse:
    """POST /build/session/{id}/{number}: the stream to the client's agent that was asked for."""
    session, number = find(call, call.params["id"]), call.params["number"]
    await call.request.read()
    hijacked = hijack(call.request, content_type=RAW)
    if not number.isdigit() or not session.connected(int(number), hijacked):
        hijacked.socket.close()
        raise NotFound(f"no connection {number} was asked for")
    return hijacked


ROUTES = (("POST", "/build/session", open_session), ("POST", "/build/session/{id}/{number}", open_connection))
