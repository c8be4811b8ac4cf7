"""Which subnet a new network gets and which address an endpoint. Pure; used by `service` and `define`."""

import ipaddress
from collections.abc import Iterable, Iterator

from pydock_shared.errors import Forbidden, InvalidArgument, PydockError

Subnet = ipaddress.IPv4Network

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


class Pool:
    """The addresses of one network; the lowest free one is given first, as Docker does."""

    def __init__(self, name: str, subnet: str, ip_range: str, reserved: Iterable[str]) -> None:
        self._name = name
        self._subnet = Subnet(subnet)
        self._range = Subnet(ip_range) if ip_range else self._subnet
        first, last = int(self._subnet.network_address), int(self._subnet.broadcast_address)
        self._used = {int(ipaddress.IPv4Address(address)) for address in reserved if address}
        if self._subnet.prefixlen < 31:
            self._used |= {first, last}
        self._lowest = int(self._range.network_address)
        """No address of the range below this one is free."""

    def take(self) -> int:
        """Return the lowest free address and mark it used; PydockError when all are."""
        last = int(self._range.broadcast_address)
        candidate = self._lowest
        while candidate in self._used:
            candidate += 1
        if candidate > last:
            raise PydockError(f"no available IPv4 addresses on this network's address pools: {self._name}")
        self._used.add(candidate)
        self._lowest = candidate + 1
        return candidate

    def claim(self, address: str) -> int:
        """Mark a given address used; InvalidArgument when it is outside the subnet, Forbidden when used already."""
        try:
            number = int(ipaddress.IPv4Address(address))
        except ValueError as error:
            raise InvalidArgument(f"invalid IPv4 address: {address}") from error
        if ipaddress.IPv4Address(number) not in self._subnet:
            raise InvalidArgument(f"no configured subnet contains IP address {address}")
        if number in self._used:
            raise Forbidden("Address already in use")
        self._used.add(number)
        return number

    def mark(self, number: int) -> None:
        """Mark an address used that was given before this process began."""
        self._used.add(number)

    def release(self, number: int) -> None:
        """Make an address free again."""
        self._used.discard(number)
        if number >= int(self._range.network_address):
            self._lowest = min(self._lowest, number)
