"""Links of the host: bridges, veth pairs, addresses and what is taken, by rtnetlink. Used by `service`.

Messages are pyroute2's; they go through one socket of `netlink`, which Links owns and `close` closes. A bridge of ours
carries the name of its daemon's table as its alias, by which it is known again after a crash.
"""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_SETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from .netlink import ACK, CREATE, DUMP, EXCLUSIVE, HEADER, NESTED, NETLINK_ROUTE, Socket, attribute

UP = 0x1
# linux/if_link.h and rtnetlink(7)
PORT_MESSAGE = struct.Struct("=BxHiII")
IFLA_PROTINFO = 12
BRPORT_STATE, BRPORT_HAIRPIN, BRPORT_FLUSH, BRPORT_ISOLATED = 1, 4, 24, 33
IFA_F_NODAD = 0x02
MAC_PREFIX = "02:42"
"""The locally administered prefix that Docker gives to bridges and containers."""


@dataclass(frozen=True)
class Link:
    """A link of the host as the kernel tells."""

    index: int
    name: str
    kind: str
    master: int
    alias: str


class Links:
    """The links of the network namespace in which this was made."""

    def __init__(self) -> None:
        self._socket = Socket(NETLINK_ROUTE)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def all(self) -> list[Link]:
        """Return every link."""
        return [_link(message) for message in self._dump(RTM_GETLINK, ifinfmsg)]

    def get(self, name: str) -> Link | None:
        """Return a link by its name, None when there is none."""
        index = index_of(name)
        if index is None:
            return None
        message = ifinfmsg(self._socket.ask(RTM_GETLINK, 0, _encode(ifinfmsg, {"index": index}))[0])
        message.decode()
        return _link(message)

    def bridge(self, name: str, addresses: Sequence[str], mtu: int, alias: str) -> None:
        """Make a bridge with addresses (`172.18.0.1/16`; that of IPv4 first) if it is missing, and bring it up.

        FileExistsError when a link of that name is no bridge, or somebody else's. The MAC address is set, so that it
        does not change with the ports that come and go.
        """
        found = self.get(name)
        if found is None:
            mac = mac_of(addresses[0])
            attrs = [
                ("IFLA_IFNAME", name),
                ("IFLA_ADDRESS", mac),
                ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
            ]
            self._change(RTM_NEWLINK, ifinfmsg, CREATE | EXCLUSIVE, {"flags": UP, "change": UP, "attrs": attrs})
        elif found.kind != "bridge" or found.alias != alias:
            raise FileExistsError(errno.EEXIST, "a link of that name exists and is not ours", name)
        index = socket.if_nametoindex(name)
        settings = [("IFLA_IFALIAS", alias), ("IFLA_MTU", mtu)]
        self._change(RTM_SETLINK, ifinfmsg, 0, {"index": index, "flags": UP, "change": UP, "attrs": settings})
        if len(addresses) > 1:
            # An administrator may have switched IPv6 off for what comes new; nobody is to tell a bridge its router.
            _sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "0")
            _sysctl(f"net/ipv6/conf/{name}/accept_ra", "0")
        for address in addresses:
            self._address(index, address)
        _sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")

    def _address(self, index: int, address: str) -> None:
        interface = ipaddress.ip_interface(address)
        attrs: list[tuple[str, Any]] = [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(interface.ip))]
        if interface.version == 4:
            attrs.append(("IFA_BROADCAST", str(interface.network.broadcast_address)))
        else:
            # It is ours by assignment: nobody is to be asked whether he has it.
            attrs.append(("IFA_FLAGS", IFA_F_NODAD))
        fields = {
            "index": index,
            "family": socket.AF_INET if interface.version == 4 else socket.AF_INET6,
            "prefixlen": interface.network.prefixlen,
            "attrs": attrs,
        }
        try:
            self._change(RTM_NEWADDR, ifaddrmsg, CREATE | EXCLUSIVE, fields)
        except FileExistsError:
            return

    def veth(self, name: str, bridge: int, pid: int, peer: str, mac: str, mtu: int, *, apart: bool) -> None:
        """Make a veth pair in one message: `name` here, up, a port of the bridge; `peer` in a process's namespace.

        `apart` is for one that must not reach the others of its bridge.
        """
        # One queue: pairs have no qdisc, so more of them (the default is one a CPU) cost memory and time for nothing.
        common = [("IFLA_MTU", mtu), ("IFLA_NUM_TX_QUEUES", 1), ("IFLA_NUM_RX_QUEUES", 1)]
        other = [("IFLA_IFNAME", peer), ("IFLA_ADDRESS", mac), *common, ("IFLA_NET_NS_PID", pid)]
        data = {"attrs": [("VETH_INFO_PEER", {"attrs": other})]}
        attrs = [
            ("IFLA_IFNAME", name),
            *common,
            ("IFLA_MASTER", bridge),
            ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}),
        ]
        self._change(RTM_NEWLINK, ifinfmsg, CREATE | EXCLUSIVE, {"flags": UP, "change": UP, "attrs": attrs})
        self._join(name, apart=apart)

    def _join(self, name: str, *, apart: bool) -> None:
        # Where bridged packets pass netfilter (br_netfilter), one that goes back to its sender is bridged, not routed:
        # without hairpin mode a container could not reach itself by its published port. From an isolated port it could
        # not reach the others' published ports there either, and the table's own rules keep them apart.
        isolated = attribute(BRPORT_ISOLATED, b"\1") if apart and not _netfilter_sees_bridged() else b""
        self._port(name, attribute(BRPORT_HAIRPIN, b"\1") + isolated)

    def enslave(self, link: Link, bridge: int, *, apart: bool) -> None:
        """Make a link a port of a bridge, as `veth` does."""
        self._change(RTM_SETLINK, ifinfmsg, 0, {"index": link.index, "attrs": [("IFLA_MASTER", bridge)]})
        self._join(link.name, apart=apart)

    def silence(self, name: str) -> None:
        """Disable the bridge port of a container that ended, and forget what the bridge learnt of it.

        Its namespace and the veth pair live on until the kernel's worker has taken them down; until then it would
        answer for an address that may have a new owner. Deleting the pair here would wait for RCU, 20 to 40 ms.
        """
        try:
            self._port(name, attribute(BRPORT_STATE, b"\0") + attribute(BRPORT_FLUSH, b""))
        except OSError:
            # It is gone already, or is no port of a bridge any more: nothing to silence.
            return

    def _port(self, name: str, settings: bytes) -> None:
        """Change a bridge port; written by hand, since this is on the path of every start and exit."""
        body = PORT_MESSAGE.pack(socket.AF_BRIDGE, 0, socket.if_nametoindex(name), 0, 0)
        self._socket.ask(RTM_SETLINK, ACK, body + attribute(IFLA_PROTINFO | NESTED, settings))

    def remove(self, name: str) -> None:
        """Delete a link; one that does not exist is left alone."""
        index = index_of(name)
        if index is not None:
            self._change(RTM_DELLINK, ifinfmsg, 0, {"index": index, "attrs": []})

    def taken(self) -> list[ipaddress.IPv4Network]:
        """Return the subnets that the host has a route to, the default route apart."""
        networks = []
        for message in self._dump(RTM_GETROUTE, rtmsg, family=socket.AF_INET):
            if message["dst_len"]:
                networks.append(ipaddress.IPv4Network((message.get_attr("RTA_DST"), message["dst_len"])))
        return networks

    def _change(self, kind: int, message: type[Any], flags: int, fields: dict[str, Any]) -> None:
        self._socket.ask(kind, flags | ACK, _encode(message, fields))

    def _dump(self, kind: int, message: type[Any], family: int = 0) -> list[Any]:
        found = []
        for data in self._socket.ask(kind, DUMP, _encode(message, {"family": family})):
            decoded = message(data)
            decoded.decode()
            found.append(decoded)
        return found


def _encode(message: type[Any], fields: dict[str, Any]) -> bytes:
    built = message()
    for key, value in fields.items():
        built[key] = value
    built.encode()
    return bytes(built.data)[HEADER.size :]


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        master=message.get_attr("IFLA_MASTER") or 0,
        alias=message.get_attr("IFLA_IFALIAS") or "",
    )


def index_of(name: str) -> int | None:
    """Return the index of a link, None when there is none of that name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def mac_of(address: str) -> str:
    """Return the MAC address that Docker derives from an IPv4 address (with or without prefix): `02:42:ac:11:00:02`."""
    packed = ipaddress.IPv4Interface(address).packed
    return ":".join((MAC_PREFIX, *(f"{byte:02x}" for byte in packed)))


def veth_name() -> str:
    """Return a name for the host's end of a pair, as Docker forms it."""
    return f"veth{os.urandom(4).hex()[:7]}"


def _netfilter_sees_bridged() -> bool:
    """Say whether packets within a bridge pass the tables of ip and ip6 (module br_netfilter)."""
    files = (Path("/proc/sys/net/bridge", f"bridge-nf-call-{tables}") for tables in ("iptables", "ip6tables"))
    return all(file.exists() and file.read_text().strip() == "1" for file in files)


def enable_forwarding() -> None:
    """Let the host forward IPv4 packets, which containers need to reach anything but the host."""
    _sysctl("net/ipv4/ip_forward", "1")


def enable_forwarding_6() -> None:
    """Let the host forward IPv6 packets, where it has networks with IPv6.

    A host that forwards listens to no router any more, and would lose its own way out, unless it is told to (2).
    """
    for file in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
        if file.read_text().strip() == "1":
            file.write_text("2")
    _sysctl("net/ipv6/conf/all/forwarding", "1")


def _sysctl(path: str, value: str) -> None:
    file = Path("/proc/sys", path)
    if file.read_text().strip() != value:
        file.write_text(value)
