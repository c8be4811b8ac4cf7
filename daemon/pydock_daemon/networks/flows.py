"""Flows of datagrams that the kernel remembers (conntrack), forgotten when a published port changes. Used by `service`.

Translation is decided at the first packet of a flow, and a flow of datagrams has no end: a sender that began before the
port was published, or while another container had it, would go on being sent to the wrong place as long as it sends.
"""

import logging
import struct
from collections.abc import Iterable

from .model import Published
from .netlink import ACK, DUMP, HEADER, NESTED, Socket, attribute, attributes

log = logging.getLogger("pydockd.networks")
CTNETLINK = 1 << 8
GET, DELETE = CTNETLINK | 1, CTNETLINK | 2
FAMILIES = {is_six: struct.pack("=BBH", family, 0, 0) for is_six, family in ((False, 2), (True, 10))}
UDP = 17
# linux/netfilter/nfnetlink_conntrack.h
TUPLE_ORIGIN, TUPLE_PROTO, FILTER = 1, 2, 25
PROTO_NUMBER, PROTO_TARGET_PORT, FILTER_ORIGIN_FLAGS = 1, 3, 1
BY_NUMBER_AND_TARGET_PORT = 1 << 3 | 1 << 5


def forget(netfilter: Socket, ports: Iterable[Published]) -> None:
    """Forget the flows to published udp ports; the kernel picks them out (since 5.8): a full table costs little."""
    for is_six, number in {(":" in port.host_ip, port.host_port) for port in ports if port.proto == "udp"}:
        family = FAMILIES[is_six]
        proto = attribute(PROTO_NUMBER, bytes([UDP])) + attribute(PROTO_TARGET_PORT, struct.pack("!H", number))
        wanted = attribute(TUPLE_ORIGIN | NESTED, attribute(TUPLE_PROTO | NESTED, proto))
        flags = attribute(FILTER_ORIGIN_FLAGS, struct.pack("=I", BY_NUMBER_AND_TARGET_PORT))
        try:
            found = netfilter.ask(GET, DUMP, family + wanted + attribute(FILTER | NESTED, flags))
        except OSError as error:
            log.info("flows to udp port %d cannot be listed: %s", number, error)
            continue
        for message in found:
            origin = attributes(message[HEADER.size + len(family) :])[TUPLE_ORIGIN]
            try:
                netfilter.ask(DELETE, ACK, family + attribute(TUPLE_ORIGIN | NESTED, origin))
            except FileNotFoundError:
                continue  # it ended meanwhile
