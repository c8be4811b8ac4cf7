"""Which port of the host a container's port gets. Used by `service`.

A port is free when no container of ours has it, no other daemon of our kind has it (`claims`), and a socket can be
bound to it. Nothing holds it afterwards but the rule: a process of the host may bind it later, and then hears only what
the rules leave it, as with any DNAT.
"""

import ipaddress
import os
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.ports import parse_key

from .claims import Claims
from .model import EVERY_ADDRESS, Published

KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
LAST_PORT = 65535


class PortTaken(Exception):
    """A port cannot be had; the words are Docker's."""


@dataclass(frozen=True)
class Wanted:
    """A port of a container and the ports of the host that will do."""

    proto: str
    port: int
    host_ip: str
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
    bindings: dict[str, list[dict[str, Any]]], exposed: Iterable[str], default_ip: str, *, publish_all: bool
) -> list[Wanted]:
    """Return what is to be published; NotSupported for addresses of IPv6, InvalidArgument for what is malformed."""
    asked: dict[str, list[dict[str, Any]]] = {key(name): list(chosen or ()) for name, chosen in bindings.items()}
    if publish_all:
        for name in exposed:
            asked[key(name)] = asked.get(key(name)) or [{}]
    return [_one(name, binding, default_ip) for name, chosen in sorted(asked.items()) for binding in chosen]


def key(text: str) -> str:
    """Return a key of the port maps in its whole form: `80` is `80/tcp`."""
    port, proto = parse_key(text)
    return f"{port}/{proto}"


def _one(name: str, binding: dict[str, Any], default_ip: str) -> Wanted:
    port, proto = parse_key(name)
    host_ip = binding.get("HostIp") or default_ip
    try:
        address = ipaddress.ip_address(host_ip)
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {host_ip}") from error
    if address.version == 6:
        raise NotSupported(f"publishing on the IPv6 address {host_ip} is not supported")
    text = str(binding.get("HostPort") or "")
    first, dash, last = text.partition("-")
    if not text or text == "0":
        low, high = _ephemeral()
        return Wanted(proto, port, host_ip, low, high, any_free=True)
    if not _is_port(first) or (dash and not _is_port(last)) or (dash and int(last) < int(first)):
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return Wanted(proto, port, host_ip, int(first), int(last or first), any_free=bool(dash))


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

    def choose(self, container: str, address: str, wishes: Iterable[Wanted]) -> list[Published]:
        """Return a port of the host for each wish and mark them; PortTaken, with nothing marked, when one has none."""
        chosen: list[Published] = []
        others = self.claims.tables()
        try:
            for wish in wishes:
                host_port = self._find(wish, address, others)
                chosen.append(Published(container, wish.proto, wish.host_ip, host_port, address, wish.port))
                self.mark(chosen[-1:])
        except PortTaken:
            self.release(chosen)
            raise
        return chosen

    def _find(self, wish: Wanted, address: str, others: list[str]) -> int:
        if not wish.any_free:
            trouble = self._trouble(wish, wish.first, address, others)
            if trouble:
                raise PortTaken(trouble)
            return wish.first
        count = wish.last - wish.first + 1
        start = self._last + 1 if wish.first <= self._last < wish.last else wish.first
        for step in range(count):
            port = wish.first + (start - wish.first + step) % count
            if not self._trouble(wish, port, address, others):
                self._last = port
                return port
        raise PortTaken("all ports are allocated")

    def _trouble(self, wish: Wanted, port: int, address: str, others: list[str]) -> str:
        """Return why a port cannot be had, nothing when it can."""
        holders = self._taken.get((wish.proto, port), set())
        if holders and (wish.host_ip in holders or EVERY_ADDRESS in holders or wish.host_ip == EVERY_ADDRESS):
            return f"Bind for {wish.host_ip}:{port} failed: port is already allocated"
        if self.claims.claimed(others, wish.proto, wish.host_ip, port):
            return f"Bind for {wish.host_ip}:{port} failed: port is already allocated by another daemon"
        reason = _bind(wish.proto, wish.host_ip, port)
        if reason:
            return f"failed to bind host port for {wish.host_ip}:{port}:{address}:{wish.port}/{wish.proto}: {reason}"
        return ""


def _bind(proto: str, host_ip: str, port: int) -> str:
    """Return why a socket cannot be bound, nothing when it can; a kernel without the protocol has nothing to ask."""
    kind, number = KINDS[proto]
    try:
        probe = socket.socket(socket.AF_INET, kind, number)
    except OSError:
        return ""
    with closing(probe):
        if proto == "tcp":
            # As servers do: connections that wait for their end (TIME_WAIT) do not hold the port, listeners do.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host_ip, port))
        except OSError as error:
            return os.strerror(error.errno or 0).lower()
    return ""
