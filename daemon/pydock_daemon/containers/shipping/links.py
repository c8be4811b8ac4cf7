"""Connections to where logs are sent: streams (tcp, tls, unix) and datagrams (udp, unixgram). Used by the drivers.

Whoever makes a link closes it. What goes wrong is an OSError in the words of Go's net package, which Docker's clients
know.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Iterator
from typing import Any

from pydock_daemon.containers.logdrivers.addresses import Address

PATIENCE = 10.0
"""Seconds for a connection to be made, and for the other side to take some of what was sent."""
TURN = 32
LEAST_PAUSE, MOST_PAUSE = 0.0005, 0.05


class Stream:
    """A connection that keeps the order; `settle` says when the other side has what was sent."""

    def __init__(self, address: Address, *, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._tls = tls
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Connect, if it is not so. Raises OSError."""
        if self._writer is not None:
            return
        where = self._address
        with _go_words(where, "unix" if where.path else "tcp"):
            async with asyncio.timeout(PATIENCE):
                if where.path:
                    self._reader, self._writer = await asyncio.open_unix_connection(where.path)
                else:
                    self._reader, self._writer = await asyncio.open_connection(where.host, where.port, ssl=self._tls)

    async def send(self, data: bytes) -> None:
        """Begin to send; `settle` waits for it. Raises OSError."""
        assert self._writer is not None
        self._writer.write(data)

    async def settle(self) -> None:
        """Wait until the other side's kernel has all of it: what it has not is lost with the connection.

        Raises OSError; TimeoutError when it takes nothing for PATIENCE seconds.
        """
        assert self._writer is not None
        transport = self._writer.transport
        sock = transport.get_extra_info("socket")
        loop = asyncio.get_running_loop()
        pause, left, deadline = LEAST_PAUSE, -1, loop.time() + PATIENCE
        while True:
            self._check()
            now_left = transport.get_write_buffer_size() + _unacknowledged(sock.fileno())
            if not now_left:
                break
            if now_left != left:
                left, deadline = now_left, loop.time() + PATIENCE
            elif loop.time() > deadline:
                raise TimeoutError(f"write to {self._address}: i/o timeout")
            await asyncio.sleep(pause)
            pause = min(pause * 2, MOST_PAUSE)
        await asyncio.sleep(0)  # an end of the connection that is there already is told
        self._check()

    async def read(self, size: int) -> bytes:
        """Read what has come, at most `size` bytes. Raises OSError."""
        assert self._reader is not None
        async with asyncio.timeout(PATIENCE):
            data = await self._reader.read(size)
        if not data:
            raise ConnectionResetError(f"read from {self._address}: connection closed")
        return data

    def close(self) -> None:
        """Close the connection; what was not settled may be lost."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._reader = self._writer = None

    def _check(self) -> None:
        assert self._reader is not None
        assert self._writer is not None
        if self._writer.transport.is_closing() or self._reader.at_eof() or self._reader.exception():
            raise ConnectionResetError(f"write to {self._address}: connection reset by peer")


class Datagrams:
    """A socket whose datagrams may be lost (udp) or not (unixgram)."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sock: socket.socket | None = None
        self._sent = 0

    async def connect(self) -> None:
        """Find the address and bind the socket to it. Raises OSError."""
        if self._sock is not None:
            return
        where = self._address
        loop = asyncio.get_running_loop()
        with _go_words(where, "unixgram" if where.path else "udp"), contextlib.ExitStack() as stack:
            family: int = socket.AF_UNIX
            target: Any = where.path
            if not where.path:
                found = await loop.getaddrinfo(where.host or "127.0.0.1", where.port, type=socket.SOCK_DGRAM)
                family, target = found[0][0], found[0][4]
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
            sock.connect(target)
            stack.pop_all()
            self._sock = sock

    async def send(self, data: bytes) -> None:
        """Send one datagram. Raises OSError, but not for a port that nobody has open: such is udp."""
        assert self._sock is not None
        loop = asyncio.get_running_loop()
        self._sent += 1
        if self._sent % TURN == 0:
            await asyncio.sleep(0)  # a datagram that finds place does not let others have their turn
        try:
            await loop.sock_sendall(self._sock, data)
        except ConnectionRefusedError:
            if self._address.path:
                raise
            # That of an earlier datagram: this one was not sent.
            with contextlib.suppress(ConnectionRefusedError):
                await loop.sock_sendall(self._sock, data)

    async def send_file(self, fd: int) -> None:
        """Send an empty datagram with a descriptor. Raises OSError."""
        assert self._sock is not None
        while True:
            try:
                socket.send_fds(self._sock, [b""], [fd])
            except BlockingIOError:
                await asyncio.sleep(MOST_PAUSE)
            else:
                return

    async def settle(self) -> None:
        """A datagram that was sent is all that can be known."""

    def close(self) -> None:
        """Close the socket."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


Link = Stream | Datagrams


def tls_context(ca: str | None, certificate: str | None, key: str | None, *, skip_verify: bool) -> ssl.SSLContext:
    """Return what `*-tls-*` options ask for. Raises OSError that names the file."""
    context = ssl.create_default_context()
    if ca:
        _named('could not read CA certificate "{0}"', ca, lambda: context.load_verify_locations(ca))
    if certificate or key:
        words = 'could not load X509 key pair: "{0}"'
        _named(words, certificate or "", lambda: context.load_cert_chain(certificate or "", key or None))
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _named(words: str, path: str, load: Callable[[], None]) -> None:
    try:
        load()
    except OSError as error:
        reason = error.strerror.lower() if error.strerror and not isinstance(error, ssl.SSLError) else str(error)
        raise OSError(f"{words.format(path)}: open {path}: {reason}") from error


@contextlib.contextmanager
def _go_words(address: Address, network: str) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as error:
        raise OSError(f"dial {network}: lookup {address.host}: no such host") from error
    except TimeoutError as error:
        raise TimeoutError(f"dial {network} {address}: i/o timeout") from error
    except ssl.SSLError as error:
        raise OSError(f"tls: {error.reason or error}") from error
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OSError(f"dial {network} {address}: connect: {reason}") from error
    except UnicodeError as error:
        raise OSError(f"dial {network}: lookup {address.host}: no such host") from error


def _unacknowledged(fd: int) -> int:
    # SIOCOUTQ, tcp(7) and unix(7): bytes that the other side has not acknowledged, or not read.
    answer = fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])
