"""The rules inside a container that lead port 53 of 127.0.0.11 to where its name server listens. Used by `nameserver`.

Port 53 itself stays free for what runs in the container: a name server that binds 0.0.0.0:53 is nothing rare. It is
one transaction of nf_tables in raw netlink messages, 190 us; a context of libnftables for each namespace costs 100 more
and is for one thread. In nft's words:

    table ip pydock_names {
      chain output {
        type nat hook output priority -100;
        ip daddr 127.0.0.11 meta l4proto udp th dport 53 dnat to 127.0.0.11:PORT
        ip daddr 127.0.0.11 meta l4proto tcp th dport 53 dnat to 127.0.0.11:PORT
      }
    }
"""

import os
import socket
import struct
from contextlib import closing

from .netlink import ACK, CREATE, ERROR, EXCLUSIVE, HEADER, NESTED, NETLINK_NETFILTER, REQUEST, attribute

TABLE = b"pydock_names\0"
CHAIN = b"output\0"
PORT = 53
# linux/netfilter/nfnetlink.h and nf_tables.h
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 0x10, 0x11
NFNL_SUBSYS_NFTABLES = 10
NEWTABLE, DELTABLE, NEWCHAIN, NEWRULE = (NFNL_SUBSYS_NFTABLES << 8 | number for number in (0, 2, 3, 6))
APPEND = 0x800
NF_INET_LOCAL_OUT = 3
NF_IP_PRI_NAT_DST = -100
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
META_L4PROTO = 16
PROTO_NUM_SPECIFIED = 0x2
FIRST, SECOND = 1, 2
"""Registers."""


def install(address: str, ports: dict[int, int]) -> None:
    """Put the rules into this thread's network namespace in place of earlier ones; `ports` are by IPPROTO_.

    OSError with the kernel's reason.
    """
    target = socket.inet_aton(address)
    rules = [(NEWRULE, CREATE | APPEND, _rule(target, proto, port)) for proto, port in ports.items()]
    table = attribute(1, TABLE)
    try:
        _transact([(NEWTABLE, CREATE | EXCLUSIVE, table), (NEWCHAIN, CREATE, _chain()), *rules])
    except FileExistsError:
        # Not so at once: to delete a table takes the kernel 10 ms.
        _transact([(DELTABLE, 0, table), (NEWTABLE, CREATE, table), (NEWCHAIN, CREATE, _chain()), *rules])


def _transact(messages: list[tuple[int, int, bytes]]) -> None:
    batch = [_message(NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES, b"")]
    for number, (kind, flags, body) in enumerate(messages, 1):
        last = ACK if number == len(messages) else 0
        batch.append(_message(kind, flags | last, number, 0, body, family=socket.AF_INET))
    batch.append(_message(NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES, b""))
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)) as sock:
        sock.send(b"".join(batch))
        # The first answer is the acknowledgement of the last message, or the error that made all of it void.
        answer = sock.recv(4096)
    if HEADER.unpack_from(answer)[1] == ERROR:
        code = -struct.unpack_from("=i", answer, HEADER.size)[0]
        if code:
            raise OSError(code, os.strerror(code))


def _message(kind: int, flags: int, number: int, resource: int, body: bytes, *, family: int = 0) -> bytes:
    body = struct.pack("!BBH", family, 0, resource) + body
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, number, 0) + body


def _chain() -> bytes:
    hook = _number(1, NF_INET_LOCAL_OUT) + attribute(2, struct.pack("!i", NF_IP_PRI_NAT_DST))
    return attribute(1, TABLE) + attribute(3, CHAIN) + attribute(4 | NESTED, hook) + attribute(7, b"nat\0")


def _rule(target: bytes, proto: int, port: int) -> bytes:
    expressions = (
        _load(NETWORK_HEADER, 16, 4),
        _equals(target),
        _expression(b"meta", _number(2, META_L4PROTO) + _number(1, FIRST)),
        _equals(bytes([proto])),
        _load(TRANSPORT_HEADER, 2, 2),
        _equals(struct.pack("!H", PORT)),
        _value(FIRST, target),
        _value(SECOND, struct.pack("!H", port)),
        _nat(),
    )
    every = b"".join(attribute(1 | NESTED, expression) for expression in expressions)
    return attribute(1, TABLE) + attribute(2, CHAIN) + attribute(4 | NESTED, every)


def _expression(name: bytes, body: bytes) -> bytes:
    return attribute(1, name + b"\0") + attribute(2 | NESTED, body)


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(b"payload", _number(1, FIRST) + _number(2, base) + _number(3, offset) + _number(4, length))


def _equals(value: bytes) -> bytes:
    return _expression(b"cmp", _number(1, FIRST) + _number(2, 0) + attribute(3 | NESTED, attribute(1, value)))


def _value(register: int, value: bytes) -> bytes:
    return _expression(b"immediate", _number(1, register) + attribute(2 | NESTED, attribute(1, value)))


def _nat() -> bytes:
    kind = _number(1, 1) + _number(2, socket.AF_INET)
    return _expression(b"nat", kind + _number(3, FIRST) + _number(5, SECOND) + _number(7, PROTO_NUM_SPECIFIED))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))
