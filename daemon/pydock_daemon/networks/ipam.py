"""Which subnet a new network gets and which address an endpoint. Pure; used by `service` and `define`."""

import ipaddress
import os
from collections.abc import Iterable, Iterator

from pydock_shared.errors import Forbidden, InvalidArgument, PydockError

Subnet = ipaddress.IPv4Network
Subnet6 = ipaddress.IPv6Network

DOCKER_POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""The default address pools of Docker, in its order."""


def free_subnet(pools: Iterable[tuple[str, int]], taken: Iterable[Subnet]) -> Subnet:
    """Return the first subnet of the pools that overlaps none of those taken; InvalidArgument when none is left."""
    used = list(taken)
    for candidate in _candidates(pools):
        if not any(candidate.overlaps(other) for other in used):
            return candidate
    raise InvalidArgument("all predefined address pools have been fully subnetted")


def _candidates(pools: Iterable[tuple[str, int]]) -> Iterator[Subnet]:
    for base, size in pools:
        network = ipaddress.ip_network(base)
        if isinstance(network, Subnet):
            yield from network.subnets(new_prefix=size)


def unique_subnet() -> Subnet6:
    """Return a subnet of unique local addresses (RFC 4193), which nobody else has but by an accident of 2^-56."""
    return Subnet6((b"\xfd" + os.urandom(7) + bytes(8), 64))


class Pool:
    """The addresses of one network and family; the lowest free one is given first, as Docker does."""

    def __init__(self, name: str, subnet: str, ip_range: str, reserved: Iterable[str]) -> None:
        self._name = name
        self._subnet = ipaddress.ip_network(subnet)
        self._range = ipaddress.ip_network(ip_range) if ip_range else self._subnet
        self._used = {int(ipaddress.ip_address(address)) for address in reserved if address}
        if self._subnet.version == 6:
            # The address of all routers of a subnet; there is no broadcast.
            self._used.add(int(self._subnet.network_address))
        elif self._subnet.prefixlen < 31:
            self._used |= {int(self._subnet.network_address), int(self._subnet.broadcast_address)}
        self._lowest = int(self._range.network_address)
        """No address of the range below this one is free."""

    def take(self) -> str:
        """Return the lowest free address and mark it used; PydockError when all are."""
        last = int(self._range.broadcast_address)
        candidate = self._lowest
        while candidate in self._used:
            candidate += 1
        if candidate > last:
            family = f"IPv{self._subnet.version}"
            raise PydockError(f"no available {family} addresses on this network's address pools: {self._name}")
        self._used.add(candidate)
        self._lowest = candidate + 1
        return str(type(self._subnet.network_address)(candidate))

    def claim(self, text: str) -> str:
        """Mark a given address used; InvalidArgument when it is outside the subnet, Forbidden when used already."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError as error:
            raise InvalidArgument(f"invalid IPv{self._subnet.version} address: {text}") from error
        if address not in self._subnet:
            raise InvalidArgument(f"no configured subnet contains IP address {text}")
        if int(address) in self._used:
            raise Forbidden("Address already in use")
        self._used.add(int(address))
        return str(address)

    def mark(self, address: str) -> None:
        """Mark an address used that was given before this process began."""
        self._used.add(int(ipaddress.ip_address(address)))

    def release(self, address: str) -> None:
        """Make an address free again."""
        number = int(ipaddress.ip_address(address))
        self._used.discard(number)
        if number >= int(self._range.network_address):
            self._lowest = min(self._lowest, number)
