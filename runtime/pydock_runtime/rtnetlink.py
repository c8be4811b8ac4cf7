"""Messages of rtnetlink(7), put together and exchanged with the kernel. Used by netconf and netdevices."""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RTM_NEWLINK, RTM_NEWADDR, RTM_GETADDR = 16, 20, 22
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFF_UP = 1
IFLA_IFNAME = 3
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_PERMANENT = 0x80
RT_SCOPE_UNIVERSE = 0
HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
ADDRESS = struct.Struct("=BBBBi")  # struct ifaddrmsg: family, prefix length, flags, scope, index
LARGEST = 1 << 16

Attributes = list[tuple[int, bytes]]


def message(kind: int, flags: int, body: bytes, attributes: Attributes) -> bytes:
    """Return a request."""
    for number, value in attributes:
        body += struct.pack("=HH", len(value) + 4, number) + value + b"\0" * (-len(value) % 4)
    return HEADER.pack(len(body) + HEADER.size, kind, flags | NLM_F_REQUEST | NLM_F_ACK, 0, 0) + body


def link(index: int, *, up: bool | None = None, attributes: Attributes | None = None) -> bytes:
    """Return a request that changes an interface; `up` None leaves it up or down."""
    flags, mask = (IFF_UP if up else 0), (0 if up is None else IFF_UP)
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, mask)
    return message(RTM_NEWLINK, 0, body, attributes or [])


def exchange(requests: list[bytes]) -> list[int]:
    """Send requests in one piece; return the errno of each, 0 for what was done. The kernel answers in order."""
    codes: list[int] = []
    with _socket() as sock:
        sock.send(b"".join(requests))
        while len(codes) < len(requests):
            codes += [-struct.unpack_from("=i", body)[0] for kind, body in _messages(sock) if kind == NLMSG_ERROR]
    return codes


def lasting_addresses(index: int) -> list[str]:
    """Return the addresses, as 198.51.100.1/24, that somebody gave an interface: permanent, and valid anywhere."""
    found: list[str] = []
    with _socket() as sock:
        sock.send(message(RTM_GETADDR, NLM_F_DUMP, ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0), []))
        while True:
            for kind, body in _messages(sock):
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, os.strerror(code), "reading addresses")
                family, length, flags, scope, where = ADDRESS.unpack_from(body)
                attributes = dict(_attributes(body[ADDRESS.size :]))
                if IFA_FLAGS in attributes:
                    (flags,) = struct.unpack("=I", attributes[IFA_FLAGS])
                if where == index and flags & IFA_F_PERMANENT and scope == RT_SCOPE_UNIVERSE:
                    raw = attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS]
                    found.append(f"{socket.inet_ntop(family, raw)}/{length}")


def _socket() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def _messages(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of the messages of one reading."""
    data = sock.recv(LARGEST)
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length, number = struct.unpack_from("=HH", data, at)
        yield number, data[at + 4 : at + length]
        at += (length + 3) & ~3
