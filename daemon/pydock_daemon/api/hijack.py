"""Taking a connection out of HTTP: attach and exec start. Used by api.containers, api.exec and
api.buildkit.

The client's socket itself is handed on (to the supervisor), so that bytes flow without passing through this process,
and go on flowing when it ends.
"""

import asyncio
import fcntl
import os
import socket
import termios
import time

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from pydock_shared.errors import Unavailable

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
GREETING = 0.2
"""Seconds for which what is said first waits for the client to have taken the answer."""


class Over(web.StreamResponse):
    """An answer to which nothing is added, after which HTTP is over on its connection: it is taken, or has broken."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    @property
    def prepared(self) -> bool:
        """Say that the headers are out."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing: the headers are out."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the stream is no longer HTTP."""


class Hijacked(Over):
    """An answer whose headers are sent.

    `socket` is a duplicate of the client's socket: whoever holds this object closes it, after handing it on or not.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.socket = sock

    async def taken(self) -> None:
        """Wait until the client has read the answer, for GREETING at most: docker-py throws away what comes along.

        The supervisor does the same before it sends output. Only of a unix socket can be told what was read.
        """
        until = time.monotonic() + GREETING
        while self.socket.family == socket.AF_UNIX and time.monotonic() < until:
            if not any(fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4))):
                return
            await asyncio.sleep(0.001)


def hijack(request: web.BaseRequest, *, content_type: str = "", protocol: str = "tcp") -> Hijacked:
    """Answer 101 (or 200 to a client that did not ask for an upgrade) and take the socket.

    The body must have been read. Reading is paused first, so that what the client sends after the 101 stays in the
    socket. The two forms of the answer are those of dockerd, which calls every stream raw in the second; aiohttp would
    add a transfer encoding to that one.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise Unavailable("the client has gone")
    transport.pause_reading()
    if "upgrade" in request.headers.get("Connection", "").lower():
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        head = f"HTTP/1.1 101 UPGRADED\r\n{kind}Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RAW}\r\n\r\n"
    transport.write(head.encode())
    original = transport.get_extra_info("socket")
    return Hijacked(socket.socket(fileno=os.dup(original.fileno())))
