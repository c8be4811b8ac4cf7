"""A netlink socket asked synchronously: one request, its answers, its error. Used by `links`, `claims`, `flows`.

The kernel carries a request out inside `send` and queues the answer, so nothing here waits; a call takes 20 to 400 us
and is made on the event-loop thread. (The blocking classes of pyroute2 run a loop of their own inside each call, which
a thread with a running loop refuses; its message classes are what `links` encodes and decodes with.)
The socket belongs to its Socket and is closed by `close`.
"""

import os
import socket
import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
CREATE, EXCLUSIVE = 0x400, 0x200
ERROR, DONE = 2, 3
MULTI, DUMP_INTERRUPTED = 0x2, 0x10
BUFFER = 65536
NESTED = 0x8000
NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12


class Socket:
    """One netlink protocol, such as NETLINK_ROUTE."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._sequence = 0

    def ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Send a request and return the answering messages, headers included; OSError with the kernel's errno.

        A request with ACK is answered by nothing but its success. A dump that changed under our hands is repeated.
        """
        while True:
            try:
                return list(self._answers(kind, flags, body))
            except InterruptedError:
                continue

    def _answers(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        header = HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, self._sequence, 0)
        self._socket.send(header + body)
        interrupted = False
        while True:
            for message in messages(self._socket.recv(BUFFER)):
                _, type_, marks, sequence, _ = HEADER.unpack_from(message)
                if sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(marks & DUMP_INTERRUPTED)
                if type_ == ERROR:
                    code = -struct.unpack_from("=i", message, HEADER.size)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                if type_ == DONE:
                    if interrupted:
                        raise InterruptedError
                    return
                yield message
                if not flags & ACK and not marks & MULTI:
                    return

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def messages(data: bytes) -> Iterator[bytes]:
    """Yield the messages of a datagram."""
    at = 0
    while at + HEADER.size <= len(data):
        (length,) = struct.unpack_from("=I", data, at)
        if length < HEADER.size:
            return
        yield data[at : at + length]
        at += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Return a netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes of a message's body by number, flags of the number taken off."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found
