"""Interfaces of the container, configured from the inside by raw rtnetlink(7). Used by `init`, after the gate.

A library would cost more than the whole start.
"""

from __future__ import annotations

import os
import socket
import struct

from pydock_runtime import rtnetlink
from pydock_runtime.errors import RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RTM_NEWROUTE = 24
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
IFLA_ADDRESS, IFLA_MTU = 1, 4
IFA_BROADCAST = 4
IFA_F_NODAD = 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RTN_UNICAST = 254, 3, 0, 253, 1
LOOPBACK_UP = rtnetlink.link(1, up=True)


def configure(interfaces: list[dict[str, Any]]) -> None:
    """Bring up the loopback and each interface: name, MAC, MTU, addresses, routes. RuntimeFailure says which failed."""
    requests = [("lo", LOOPBACK_UP)]
    for interface in interfaces:
        name = interface["link"]
        try:
            index = socket.if_nametoindex(name)
        except OSError as error:
            raise RuntimeFailure(f"network interface {name} is missing in the container") from error
        requests += [(interface.get("name") or name, request) for request in _interface(index, interface)]
    _exchange(requests)


def _exchange(requests: list[tuple[str, bytes]]) -> None:
    for (name, _), code in zip(requests, rtnetlink.exchange([request for _, request in requests]), strict=True):
        if code:
            raise RuntimeFailure(f"configuring network interface {name}: {os.strerror(code)}")


def _interface(index: int, interface: dict[str, Any]) -> list[bytes]:
    attributes = []
    if interface.get("name") and interface["name"] != interface["link"]:
        attributes.append((rtnetlink.IFLA_IFNAME, interface["name"].encode("ascii") + b"\0"))
    if interface.get("mac"):
        attributes.append((IFLA_ADDRESS, bytes.fromhex(interface["mac"].replace(":", ""))))
    if interface.get("mtu"):
        attributes.append((IFLA_MTU, struct.pack("=I", interface["mtu"])))
    requests = [rtnetlink.link(index, attributes=attributes)] if attributes else []
    requests += [_address(index, text) for text in interface.get("addresses") or ()]
    requests.append(rtnetlink.link(index, up=True))
    requests += [
        _route(index, route.get("destination"), route.get("gateway")) for route in interface.get("routes") or ()
    ]
    if interface.get("gateway"):
        requests.append(_route(index, None, interface["gateway"]))
    if interface.get("gateway6"):
        requests.append(_route(index, None, interface["gateway6"]))
    return requests


def _address(index: int, text: str) -> bytes:
    family, raw, length = _network(text)
    attributes = [(rtnetlink.IFA_LOCAL, raw), (rtnetlink.IFA_ADDRESS, raw)]
    if family == socket.AF_INET and length < 31:
        host = (1 << (32 - length)) - 1
        attributes.append((IFA_BROADCAST, struct.pack("!I", struct.unpack("!I", raw)[0] | host)))
    if family == socket.AF_INET6:
        # The address is ours by assignment; waiting for duplicate detection would delay the first packet.
        attributes.append((rtnetlink.IFA_FLAGS, struct.pack("=I", IFA_F_NODAD)))
    body = struct.pack("=BBBBi", family, length, 0, RT_SCOPE_UNIVERSE, index)
    return rtnetlink.message(rtnetlink.RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body, attributes)


def _route(index: int, destination: str | None, gateway: str | None) -> bytes:
    attributes = [(RTA_OIF, struct.pack("=I", index))]
    family: int = socket.AF_INET
    length = 0
    if destination:
        family, raw, length = _network(destination)
        attributes.append((RTA_DST, raw))
    if gateway:
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        attributes.append((RTA_GATEWAY, socket.inet_pton(family, gateway)))
    scope = RT_SCOPE_UNIVERSE if gateway else RT_SCOPE_LINK
    body = struct.pack("=BBBBBBBBI", family, length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0)
    # Of IPv6, a second default route would share the traffic with the first.
    replace = NLM_F_REPLACE if family == socket.AF_INET6 else 0
    return rtnetlink.message(RTM_NEWROUTE, NLM_F_CREATE | replace, body, attributes)


def _network(text: str) -> tuple[int, bytes, int]:
    """Return family, address and prefix length of `172.17.0.2/16`."""
    address, _, length = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.inet_pton(family, address)
    return family, raw, int(length) if length else len(raw) * 8
