"""Which port of the host a container's port gets. Used by `service`.

A port is free when no container of ours has it, no other daemon of our kind has it (`claims`), and a socket can be
bound to it. Nothing holds it afterwards but the rule: a process of the host may bind it later, and then hears only what
the rules leave it, as with any DNAT.
"""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_shared.errors import InvalidArgument
from pydock_shared.ports import parse_key

from .claims import Claims
from .model import EVERY_ADDRESS, EVERY_ADDRESS_6, Published

KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
LAST_PORT = 65535
NO_ADDRESS = os.strerror(errno.EADDRNOTAVAIL).lower()


class PortTaken(Exception):
    """A port cannot be had; the words are Docker's."""


@dataclass(frozen=True)
class Wanted:
    """A port of a container and the ports of the host that will do."""

    proto: str
    port: int
    host_ips: tuple[str, ...]
    first: int
    last: int
    any_free: bool

    @property
    def key(self) -> str:
        """Return the key of the API's port maps."""
        return f"{self.port}/{self.proto}"


def bindings(published: Iterable[Published]) -> dict[str, list[dict[str, str]]]:
    """Return published ports by container port, as NetworkSettings.Ports shows them."""
    shown: dict[str, list[dict[str, str]]] = {}
    for port in published:
        binding = {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        shown.setdefault(f"{port.port}/{port.proto}", []).append(binding)
    return shown


def wanted(
    bindings: dict[str, list[dict[str, Any]]], exposed: Iterable[str], default_ips: Sequence[str], *, publish_all: bool
) -> list[Wanted]:
    """Return what is to be published, on the default addresses where none is said.

    InvalidArgument for what is malformed.
    """
    asked: dict[str, list[dict[str, Any]]] = {key(name): list(chosen or ()) for name, chosen in bindings.items()}
    if publish_all:
        for name in exposed:
            asked[key(name)] = asked.get(key(name)) or [{}]
    return [_one(name, binding, default_ips) for name, chosen in sorted(asked.items()) for binding in chosen]


def key(text: str) -> str:
    """Return a key of the port maps in its whole form: `80` is `80/tcp`."""
    port, proto = parse_key(text)
    return f"{port}/{proto}"


def _one(name: str, binding: dict[str, Any], default_ips: Sequence[str]) -> Wanted:
    port, proto = parse_key(name)
    given = binding.get("HostIp")
    host_ips = (_host_ip(given),) if given else tuple(default_ips)
    text = str(binding.get("HostPort") or "")
    first, dash, last = text.partition("-")
    if not text or text == "0":
        low, high = _ephemeral()
        return Wanted(proto, port, host_ips, low, high, any_free=True)
    if not _is_port(first) or (dash and not _is_port(last)) or (dash and int(last) < int(first)):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return Wanted(proto, port, host_ips, int(first), int(last or first), any_free=bool(dash))


def _host_ip(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {text}") from error
    return str(address)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= LAST_PORT


def _ephemeral() -> tuple[int, int]:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)


@dataclass
class HostPorts:
    """The ports of the host that our containers have."""

    claims: Claims
    _taken: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    _last: int = 0
    """The last free port that was given; the next search begins behind it."""

    def mark(self, ports: Iterable[Published]) -> None:
        """Note ports that are published."""
        for port in ports:
            self._taken.setdefault((port.proto, port.host_port), set()).add(port.host_ip)

    def release(self, ports: Iterable[Published]) -> None:
        """Make ports free again."""
        for port in ports:
            addresses = self._taken.get((port.proto, port.host_port), set())
            addresses.discard(port.host_ip)
            if not addresses:
                self._taken.pop((port.proto, port.host_port), None)

    def choose(self, container: str, addresses: Sequence[str], wishes: Iterable[Wanted]) -> list[Published]:
        """Return a port of the host for each wish and mark them; PortTaken, with nothing marked, when one has none.

        `addresses` are the container's, of each family at most one. A port on a host's address of IPv6 leads to that of
        IPv4 when there is no other.
        """
        by_family = {True: addresses[0]} | {":" in address: address for address in addresses}
        chosen: list[Published] = []
        others = self.claims.tables()
        try:
            for wish in wishes:
                host_port = self._find(wish, by_family, others)
                found = [
                    Published(container, wish.proto, host_ip, host_port, by_family[":" in host_ip], wish.port)
                    for host_ip in wish.host_ips
                ]
                chosen += found
                self.mark(found)
        except PortTaken:
            self.release(chosen)
            raise
        return chosen

    def _find(self, wish: Wanted, by_family: dict[bool, str], others: list[str]) -> int:
        if not wish.any_free:
            trouble = self._trouble(wish, wish.first, by_family, others)
            if trouble:
                raise PortTaken(trouble)
            return wish.first
        count = wish.last - wish.first + 1
        start = self._last + 1 if wish.first <= self._last < wish.last else wish.first
        for step in range(count):
            port = wish.first + (start - wish.first + step) % count
            trouble = self._trouble(wish, port, by_family, others)
            if not trouble:
                self._last = port
                return port
            if trouble.endswith(NO_ADDRESS):
                raise PortTaken(trouble)  # no other port would do
        raise PortTaken("all ports are allocated")

    def _trouble(self, wish: Wanted, port: int, by_family: dict[bool, str], others: list[str]) -> str:
        """Return why a port cannot be had, nothing when it can."""
        for host_ip in wish.host_ips:
            where = f"[{host_ip}]:{port}" if ":" in host_ip else f"{host_ip}:{port}"
            if self._held(wish.proto, port, host_ip):
                return f"Bind for {where} failed: port is already allocated"
            if self.claims.claimed(others, wish.proto, host_ip, port):
                return f"Bind for {where} failed: port is already allocated by another daemon"
            reason = _bind(wish.proto, host_ip, port)
            if reason:
                address = by_family[":" in host_ip]
                return f"failed to bind host port for {where}:{address}:{wish.port}/{wish.proto}: {reason}"
        return ""

    def _held(self, proto: str, port: int, host_ip: str) -> bool:
        every = EVERY_ADDRESS_6 if ":" in host_ip else EVERY_ADDRESS
        holders = {holder for holder in self._taken.get((proto, port), ()) if (":" in holder) == (":" in host_ip)}
        return bool(holders) and (host_ip in holders or every in (*holders, host_ip))


def _bind(proto: str, host_ip: str, port: int) -> str:
    """Return why a socket cannot be bound, nothing when it can; a kernel without the protocol has nothing to ask."""
    kind, number = KINDS[proto]
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    try:
        probe = socket.socket(family, kind, number)
    except OSError:
        return ""
    with closing(probe):
        if proto == "tcp":
            # As servers do: connections that wait for their end (TIME_WAIT) do not hold the port, listeners do.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host_ip, port))
        except OSError as error:
            return os.strerror(error.errno or 0).lower()
    return ""
