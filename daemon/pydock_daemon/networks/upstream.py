"""Questions that are not about containers, passed on to the servers of the host or of `--dns`. Used by `nameserver`.

The host's servers are asked from the host, where one on its loopback (systemd-resolved) answers; those that a container
asked for are asked from its own namespace, where 127.0.0.1 is its own. Docker does the same. A question goes out as it
came in, with an id and from a port that nobody inside can know, by UDP or TCP as it came; so size, EDNS and truncation
are between client and server.
"""

import asyncio
import ipaddress
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing

from . import dnswire
from .dnswire import Query

PORT = 53
MOST_SERVERS = 3
TIMEOUT = 4.0
"""Seconds a server has; with the number of servers Docker's own limits."""
MOST_UNDER_WAY = 1024
LARGEST = 65535
Sockets = Callable[[socket.AddressFamily, socket.SocketKind], Awaitable[socket.socket]]
"""Makes a socket in the namespace from which a server is asked; it does not block."""


async def host_socket(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
    """Return a socket of the host."""
    return socket.socket(family, kind | socket.SOCK_NONBLOCK)


class Upstream:
    """Everything that is asked for all containers; bounded as a whole."""

    def __init__(self) -> None:
        self._under_way = 0

    async def ask(
        self, data: bytes, query: Query, servers: Sequence[str], sockets: Sockets, *, datagram: bool
    ) -> bytes:
        """Return the first answer that says more than that a server has trouble; SERVFAIL when there is none."""
        if self._under_way >= MOST_UNDER_WAY:
            return dnswire.reply(query, dnswire.REFUSED)
        self._under_way += 1
        try:
            best = dnswire.reply(query, dnswire.SERVFAIL)
            for server in servers[:MOST_SERVERS]:
                try:
                    async with asyncio.timeout(TIMEOUT):
                        best = await _exchange(data, query, server, sockets, datagram=datagram)
                except (OSError, TimeoutError, ValueError):
                    continue
                if dnswire.rcode(best) not in (dnswire.SERVFAIL, dnswire.REFUSED):
                    break
            return best
        finally:
            self._under_way -= 1


async def _exchange(data: bytes, query: Query, server: str, sockets: Sockets, *, datagram: bool) -> bytes:
    number = secrets.randbelow(0x10000)
    message = dnswire.with_id(data, number)
    family = socket.AF_INET6 if ipaddress.ip_address(server.partition("%")[0]).version == 6 else socket.AF_INET
    loop = asyncio.get_running_loop()
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    with closing(await sockets(family, kind)) as sock:
        # Numeric, so nothing is looked up; a scope (fe80::1%eth0) becomes a number.
        target = socket.getaddrinfo(server, PORT, family, kind, flags=socket.AI_NUMERICHOST)[0][4]
        await loop.sock_connect(sock, target)
        if datagram:
            await loop.sock_sendall(sock, message)
        else:
            await loop.sock_sendall(sock, struct.pack("!H", len(message)) + message)
        while True:
            answer = await (loop.sock_recv(sock, LARGEST) if datagram else _framed(sock))
            if dnswire.answers(answer, query, number):
                return dnswire.with_id(answer, query.id)


async def _framed(sock: socket.socket) -> bytes:
    (length,) = struct.unpack("!H", await _exactly(sock, 2))
    return await _exactly(sock, length)


async def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(sock, count - len(data))
        if not more:
            raise ConnectionResetError("the server closed the connection")
        data += more
    return data
