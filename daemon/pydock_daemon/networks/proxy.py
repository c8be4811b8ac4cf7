"""A process that passes on what comes to one port of the host, where it cannot be translated. Started by `proxies`.

    python -m pydock_daemon.networks.proxy  WORD PROTO LISTENER CONTROL ADDRESS PORT

WORD is for people who look at processes. The socket of CONTROL takes a connection of root when it is time to end.
"""

import asyncio
import os
import socket
import struct
import sys
from contextlib import suppress

Address = tuple[str | int, ...]
NOBODY = 65534
PIECE = 1 << 16
MOST = 1024
"""Clients at a time; of TCP others wait, of UDP the oldest is forgotten."""
IDLE = 90.0
"""Seconds without a datagram after which a client is forgotten, as by docker-proxy."""


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on one direction, and its end; the other direction goes on."""
    with suppress(OSError):
        while piece := await source.read(PIECE):
            target.write(piece)
            await target.drain()
        target.write_eof()


class Streams:
    """TCP."""

    def __init__(self, address: str, port: int) -> None:
        self._target = (address, port)
        self._room = asyncio.Semaphore(MOST)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection."""
        async with self._room:
            try:
                inner, outward = await asyncio.open_connection(*self._target)
            except OSError:
                writer.transport.abort()
                return
            await asyncio.gather(_copy(reader, outward), _copy(inner, writer))
            for end in (outward, writer):
                end.close()


class Datagrams(asyncio.DatagramProtocol):
    """UDP: each client has a socket of its own towards the container, by which answers find back."""

    def __init__(self, address: str, port: int) -> None:
        self._target = (address, port)
        self._clients: dict[Address, Answers] = {}
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Remember the socket of the host's side."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Pass on one datagram."""
        client = self._clients.pop(addr, None)
        if client is None:
            while len(self._clients) >= MOST:
                next(iter(self._clients.values())).close()
            client = Answers(self, addr, self._target)
        self._clients[addr] = client  # the newest is the last
        client.send(data)

    def forget(self, addr: Address) -> None:
        """Know a client no more."""
        self._clients.pop(addr, None)


class Answers:
    """The socket of one client of UDP."""

    def __init__(self, door: Datagrams, client: Address, target: tuple[str, int]) -> None:
        self._door, self._client = door, client
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(target)
        self._loop.add_reader(self._socket, self._receive)
        self._end = self._loop.call_later(IDLE, self.close)

    def _used(self) -> None:
        self._end.cancel()
        self._end = self._loop.call_later(IDLE, self.close)

    def send(self, data: bytes) -> None:
        """Send a datagram; one that cannot be sent is lost, as datagrams are."""
        self._used()
        with suppress(OSError):
            self._socket.send(data)

    def _receive(self) -> None:
        with suppress(OSError):
            self._door.transport.sendto(self._socket.recv(PIECE), self._client)
            self._used()

    def close(self) -> None:
        """Forget the client."""
        self._end.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._door.forget(self._client)


async def _until_told(control: socket.socket) -> None:
    """Return when root says that it is time; the name of the socket is anybody's to find."""
    control.setblocking(False)
    while True:
        caller, _ = await asyncio.get_running_loop().sock_accept(control)
        with caller:
            _, uid, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid == 0:
                os._exit(0)


async def _serve(proto: str, listener: socket.socket, control: socket.socket, address: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    if proto == "tcp":
        await asyncio.start_server(Streams(address, port).serve, sock=listener)
    else:
        await loop.create_datagram_endpoint(lambda: Datagrams(address, port), sock=listener)
    await _until_told(control)


def main() -> None:
    """Be that process."""
    _, proto, listener, control, address, port = sys.argv[1:]
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    sockets = (socket.socket(fileno=int(listener)), socket.socket(fileno=int(control)))
    asyncio.run(_serve(proto, *sockets, address, int(port)))


if __name__ == "__main__":
    main()
