"""Ports that other daemons of our kind have published on this host, asked of the kernel one by one. Used by `ports`.

A published port is a rule and no socket, so binding does not show it. One question costs about 30 us, where libnftables
would first read every table of the host (8 ms with 3,000 elements).
"""

import ipaddress
import socket
import struct

from .netlink import DUMP, HEADER, NESTED, Socket, attribute, attributes

NFTABLES = 10 << 8
GET_TABLE, GET_ELEMENT = NFTABLES | 1, NFTABLES | 13
FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
FAMILY_6 = struct.pack("=BBH", socket.AF_INET6, 0, 0)
# linux/netfilter/nf_tables.h
TABLE_NAME = 1
LIST_TABLE, LIST_SET, LIST_ELEMENTS = 1, 2, 3
ELEMENT, ELEMENT_KEY, VALUE = 1, 1, 1
PREFIX = "pydock_"
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}


class Claims:
    """What the tables of other daemons say."""

    def __init__(self, own_table: str, netfilter: Socket) -> None:
        self._own = own_table
        self._socket = netfilter

    def tables(self) -> list[str]:
        """Return the names of the other daemons' tables."""
        names = []
        for message in self._socket.ask(GET_TABLE, DUMP, FAMILY):
            found = attributes(message[HEADER.size + len(FAMILY) :])
            names.append(found[TABLE_NAME].rstrip(b"\0").decode())
        return [name for name in names if name.startswith(PREFIX) and name != self._own]

    def claimed(self, tables: list[str], proto: str, host_ip: str, port: int) -> bool:
        """Say whether one of the tables publishes a port, on this address or on all of its family."""
        key = struct.pack("!B3xH2x", PROTOCOLS[proto], port)
        address = ipaddress.ip_address(host_ip)
        family = FAMILY if address.version == 4 else FAMILY_6
        for table in tables:
            if self._has(family, table, "ports", key):
                return True
            if address.is_unspecified:
                if any(bound.endswith(key) for bound in self._keys(family, table, "bound")):
                    return True
            elif self._has(family, table, "bound", address.packed + key):
                return True
        return False

    def _has(self, family: bytes, table: str, name: str, key: bytes) -> bool:
        element = attribute(ELEMENT | NESTED, attribute(ELEMENT_KEY | NESTED, attribute(VALUE, key)))
        try:
            self._socket.ask(GET_ELEMENT, 0, _of(family, table, name) + attribute(LIST_ELEMENTS | NESTED, element))
        except FileNotFoundError:
            return False
        return True

    def _keys(self, family: bytes, table: str, name: str) -> list[bytes]:
        keys = []
        try:
            answers = self._socket.ask(GET_ELEMENT, DUMP, _of(family, table, name))
        except FileNotFoundError:
            return []
        for message in answers:
            elements = attributes(message[HEADER.size + len(FAMILY) :]).get(LIST_ELEMENTS, b"")
            for element in _each(elements):
                keys.append(attributes(attributes(element)[ELEMENT_KEY])[VALUE])
        return keys


def _of(family: bytes, table: str, name: str) -> bytes:
    return family + attribute(LIST_TABLE, table.encode() + b"\0") + attribute(LIST_SET, name.encode() + b"\0")


def _each(data: bytes) -> list[bytes]:
    """Return the values of a list of attributes that all have the same number."""
    found, at = [], 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("=H", data, at)
        found.append(data[at + 4 : at + length])
        at += (length + 3) & ~3
    return found
