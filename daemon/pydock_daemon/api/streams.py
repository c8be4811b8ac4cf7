"""/containers/{id}/attach and /logs: the streams of a container."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from aiohttp import web

from pydock_daemon.containers import attach as attaching
from pydock_daemon.containers.logdrivers import info, settings
from pydock_daemon.containers.logs import Details, encode, opener_of, read_logs
from pydock_daemon.containers.model import Attachment, Container
from pydock_daemon.containers.start import environment
from pydock_shared.errors import InvalidArgument
from pydock_shared.times import parse_moment

from .hijack import MULTIPLEXED, RAW, hijack
from .routing import Call

SINCE_MULTIPLEXED = (1, 42)
DEFAULT_KEYS = "ctrl-p,ctrl-q"


def detach_keys(text: str | None) -> tuple[int, ...]:
    """Return the bytes of a `ctrl-p,ctrl-q` sequence; InvalidArgument when a part is no key."""
    found = []
    for part in (text or DEFAULT_KEYS).split(","):
        word = part.strip()
        if word.startswith("ctrl-") and len(word) == 6 and (word[5].isalpha() or word[5] in "@[]\\^_"):
            found.append(ord(word[5].upper()) & 0x1F)
        elif len(word) == 1:
            found.append(ord(word))
        else:
            raise InvalidArgument(f"Invalid detach keys ({text}) provided")
    return tuple(found)


def content_type(call: Call, *, tty: bool) -> str:
    """Return what a stream is called: newer clients are told whether it is multiplexed."""
    return RAW if tty or call.version < SINCE_MULTIPLEXED else MULTIPLEXED


async def attach(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/attach."""
    container = call.engine.containers.get(call.params["name"])
    attaching.check(container)
    keys = detach_keys(call.query.get("detachKeys"))
    tty = bool(container.config.tty)
    wanted = {name: call.flag(name) for name in ("stdin", "stdout", "stderr", "stream", "logs")}
    if wanted["logs"]:
        opener_of(settings.reader_of(container))  # while there is an answer that can say that they cannot be read
    await call.request.read()
    hijacked = hijack(call.request, content_type=content_type(call, tty=tty))
    try:
        if wanted["logs"]:
            await hijacked.taken()
            await replay(call, container, hijacked.socket, wanted, framed=not tty)
        if wanted["stream"]:
            attachment = Attachment(
                socket=hijacked.socket.dup(),
                stdin=wanted["stdin"],
                stdout=wanted["stdout"],
                stderr=wanted["stderr"],
                multiplexed=not tty,
                detach_keys=keys,
            )
            await attaching.attach(call.engine.containers, container, attachment)
        call.engine.containers.publish(container, "attach")
    finally:
        hijacked.socket.close()
    return hijacked


async def replay(call: Call, container: Container, sock: Any, wanted: dict[str, bool], *, framed: bool) -> None:
    """Send what was logged so far to a client that asked for it."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    async with aclosing(_chunks(call, container, wanted, framed=framed, follow=False)) as chunks:
        async for chunk in chunks:
            await loop.sock_sendall(sock, chunk)


async def logs(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/logs."""
    container = call.engine.containers.get(call.params["name"])
    wanted = {name: call.flag(name) for name in ("stdout", "stderr")}
    if not any(wanted.values()):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    tty, follow = bool(container.config.tty), call.flag("follow")
    response = call.streamed(content_type(call, tty=tty))
    opened = asyncio.Event()
    async with aclosing(_chunks(call, container, wanted, opened.set, framed=not tty, follow=follow)) as chunks:
        async with _begun(chunks, opened if follow else None) as first:
            await response.prepare(call.request)
            await response.write(b"")  # the headers go out now, whenever there is something to say
            await response.write(await first or b"")
        async for chunk in chunks:
            await response.write(chunk)
    await response.write_eof()
    return response


@asynccontextmanager
async def _begun(
    chunks: AsyncIterator[bytes], opened: asyncio.Event | None
) -> AsyncIterator[asyncio.Future[bytes | None]]:
    """Give the first piece to come, once it is there or the files are open: docker-py's run() removes a container as
    soon as the answer to its request for logs has begun, and reads the logs afterwards."""
    first = asyncio.ensure_future(anext(chunks, None))
    ready = asyncio.ensure_future(opened.wait()) if opened else first
    try:
        await asyncio.wait({first, ready}, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            first.result()
        yield first
    finally:
        for future in (first, ready):
            future.cancel()
        await asyncio.gather(first, ready, return_exceptions=True)


async def _chunks(
    call: Call,
    container: Container,
    wanted: dict[str, bool],
    opened: Callable[[], None] = lambda: None,
    *,
    framed: bool,
    follow: bool,
) -> AsyncGenerator[bytes, None]:
    """Yield the log of a container as the API sends it, by the parameters of the call."""
    driver = settings.reader_of(container)
    timestamps = call.flag("timestamps")
    details = _details(container) if call.flag("details") else None
    batches = read_logs(
        call.engine.containers.log_path(container),
        driver,
        follow=follow,
        tail=_tail(call.query.get("tail")),
        since=_moment(call, "since") or 0,
        until=_moment(call, "until"),
        stdout=wanted["stdout"],
        stderr=wanted["stderr"],
        stopped=lambda: not container.alive and container.state.status != "restarting",
        opened=opened,
    )
    async with aclosing(batches):
        async for batch in batches:
            yield encode(batch, framed=framed, timestamps=timestamps, details=details)


def _details(container: Container) -> Details:
    """Return what gives the attributes of lines: `json-file` keeps them with each, others have the container's own."""
    if settings.driver_of(container) == "json-file":
        return lambda batch: info.details(json.loads(batch.attributes or "{}"))
    own = info.details(info.kept(info.of(container, environment(container))))
    return lambda batch: own


def _moment(call: Call, name: str) -> int | None:
    text = call.query.get(name, "")
    return parse_moment(text) if text and text != "0" else None


def _tail(text: str | None) -> int | None:
    """Return how many lines: None for all, which is what anything but a number means to Docker."""
    digits = (text or "").removeprefix("+")
    return int(digits) if digits.isdigit() and digits.isascii() else None


ROUTES = (
    ("POST", "/containers/{name}/attach", attach),
    ("GET", "/containers/{name}/logs", logs),
)
