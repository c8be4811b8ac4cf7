"""The name server of a container on user-defined networks, at 127.0.0.11 inside it. Used by `service` and containers.

Its sockets are in the container's namespace (`make`) and are read here, on the event loop. The supervisor keeps
duplicates of them until the container ends: questions that come while there is no pydockd wait in them for the next
one. A NameServer owns its sockets, until `close`; who keeps one open keeps the namespace from ending.
"""

import asyncio
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from typing import Any

from . import dnswire, redirect
from .dns import ADDRESS
from .dnswire import Malformed, Query
from .entrance import Entrance
from .upstream import Upstream, host_socket

SIOCGSKNS = 0x894C
"""Gives the namespace of a socket."""
SIOCSIFFLAGS = 0x8914
LOOPBACK_UP = struct.pack("16sH14x", b"lo", 1)
"""struct ifreq of netdevice(7) with IFF_UP."""
BACKLOG = 16
MOST_CONNECTIONS = 32
MOST_FORWARDED = 128
IDLE = 10.0
"""Seconds a TCP client may take for a question and the answer to it."""
Pair = tuple[socket.socket, socket.socket]
"""The sockets of a name server: datagrams, listener."""


@dataclass(frozen=True)
class Settings:
    """What a name server needs to know of its container."""

    find: Callable[[Query, bool], bytes | None]
    """Answers what is about containers; the flag says that it must fit a datagram."""
    forwards: Callable[[], bool]
    """Says whether the container has a way out: one on internal networks alone must not reach anything by questions."""
    own_servers: Sequence[str]
    """The servers of `--dns`."""
    host_servers: Callable[[], Sequence[str]]
    ndots: bool
    """Options say `ndots`: a name without a dot is then for the search list, and is not asked upstream."""


class NameServers:
    """The name servers of all containers, by container id; owns the thread by which they are made."""

    def __init__(self) -> None:
        self._entrance = Entrance()
        self._upstream = Upstream()
        self._servers: dict[str, NameServer] = {}

    def __contains__(self, container: str) -> bool:
        return container in self._servers

    async def make(self, pid: int) -> Pair:
        """Return new sockets in the namespace of a process, to which port 53 there leads; OSError."""
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return await self._entrance.call(namespace, _make)
        finally:
            os.close(namespace)

    async def serve(self, container: str, pair: Pair, settings: Settings) -> None:
        """Answer what comes by these sockets, which become ours; instead of earlier ones."""
        self.close(container)
        server = self._servers[container] = NameServer(pair[0], settings, self._entrance, self._upstream)
        await server.open(pair)

    def close(self, container: str) -> None:
        """Answer no more; nothing happens when there is no name server."""
        server = self._servers.pop(container, None)
        if server is not None:
            server.close()

    def close_all(self) -> None:
        """Let go of everything; what the supervisor keeps stays open."""
        for container in list(self._servers):
            self.close(container)
        self._entrance.close()


def _make() -> Pair:
    with ExitStack() as undo:
        made = []
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = undo.enter_context(closing(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)))
            # Before the loopback is up, which init sees to later, its addresses are nobody's.
            fcntl.ioctl(sock, SIOCSIFFLAGS, LOOPBACK_UP)
            sock.bind((ADDRESS, 0))
            made.append(sock)
        datagrams, listener = made
        listener.listen(BACKLOG)
        ports = {socket.IPPROTO_UDP: datagrams.getsockname()[1], socket.IPPROTO_TCP: listener.getsockname()[1]}
        redirect.install(ADDRESS, ports)
        undo.pop_all()
    return datagrams, listener


@dataclass(eq=False)
class NameServer(asyncio.DatagramProtocol):
    """One of them. A datagram is one turn of the event loop, so that a container that floods waits for the others."""

    _socket: socket.socket
    _settings: Settings
    _entrance: Entrance
    _upstream: Upstream
    _transport: asyncio.DatagramTransport | None = None
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _clients: set[asyncio.Task[Any] | None] = field(default_factory=set)

    async def open(self, pair: Pair) -> None:
        """Begin to read."""
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=pair[0])
        self._server = await asyncio.start_server(self._connected, sock=pair[1], backlog=BACKLOG)

    def close(self) -> None:
        """Close the sockets and whatever is under way."""
        for task in (*self._tasks, *self._clients):
            if task is not None:
                task.cancel()
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer at once what is ours, ask upstream for the rest."""
        answer = self._answer(data, datagram=True)
        if isinstance(answer, Query):
            if len(self._tasks) < MOST_FORWARDED:
                self._begin(self._forward(data, answer, addr))
            else:
                self._send(dnswire.reply(answer, dnswire.REFUSED), addr)
        elif answer is not None:
            self._send(answer, addr)

    def _send(self, answer: bytes, address: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, address)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: bytes, query: Query, address: Any) -> None:
        self._send(await self._ask(data, query, datagram=True), address)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        with closing(writer), suppress(OSError, EOFError, TimeoutError, asyncio.CancelledError):
            self._clients.add(task)
            try:
                while len(self._clients) <= MOST_CONNECTIONS:
                    async with asyncio.timeout(IDLE):
                        await self._one(reader, writer)
            finally:
                self._clients.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        data = await reader.readexactly(length)
        answer = self._answer(data, datagram=False)
        if isinstance(answer, Query):
            answer = await self._ask(data, answer, datagram=False)
        if answer is None:
            raise EOFError
        writer.write(struct.pack("!H", len(answer)) + answer)
        await writer.drain()

    def _answer(self, data: bytes, *, datagram: bool) -> bytes | Query | None:
        """Return the answer to a message, the query when others have to be asked, None when it deserves neither."""
        try:
            query = dnswire.parse(data)
        except Malformed as error:
            return None if error.rcode is None else dnswire.complaint(data, error.rcode)
        found = self._settings.find(query, datagram)
        if found is not None:
            return found
        if not self._settings.forwards():
            return dnswire.reply(query, dnswire.SERVFAIL)
        if self._settings.ndots and query.type in (dnswire.A, dnswire.AAAA) and "." not in query.name:
            return dnswire.reply(query, dnswire.NOERROR)
        return query

    async def _ask(self, data: bytes, query: Query, *, datagram: bool) -> bytes:
        own = self._settings.own_servers
        servers, sockets = (own, self._inside) if own else (self._settings.host_servers(), host_socket)
        return await self._upstream.ask(data, query, servers, sockets, datagram=datagram)

    async def _inside(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """Return a socket of the container's namespace, which our own socket knows."""
        namespace = fcntl.ioctl(self._socket.fileno(), SIOCGSKNS)
        try:
            return await self._entrance.call(namespace, lambda: socket.socket(family, kind | socket.SOCK_NONBLOCK))
        finally:
            os.close(namespace)
