"""Which name is whom: what the name server of a container answers by itself. Used by `nameserver`.

A container knows the others of its user-defined networks by `name`, `alias`, short id or hostname, and by any of these
with the network's name behind it (`web.mynet`); by links it knows them by names of its own. Several containers may
share an alias. Names are looked up in the endpoints as they are at that moment.
"""

import ipaddress
import random
from collections.abc import Callable, Iterable, Sequence

from . import dnswire
from .dnswire import Query
from .model import Endpoint

TTL = 600
"""Seconds; Docker's own."""
REVERSE, REVERSE_6 = ".in-addr.arpa", ".ip6.arpa"


class Directory:
    """The names of all endpoints, indexed at the first question after a change."""

    def __init__(self, endpoints: Callable[[], Iterable[Endpoint]]) -> None:
        self._endpoints = endpoints
        self._stale = True
        self._by_name: dict[tuple[str, str], list[Endpoint]] = {}
        self._by_address: dict[tuple[str, str], Endpoint] = {}

    def changed(self) -> None:
        """Note that there are other endpoints now."""
        self._stale = True

    def _index(self) -> None:
        if not self._stale:
            return
        self._stale, self._by_name, self._by_address = False, {}, {}
        for endpoint in self._endpoints():
            if endpoint.named:
                for address in endpoint.ips:
                    self._by_address[endpoint.network_id, address] = endpoint
                for name in {name.lower() for name in endpoint.dns_names}:
                    self._by_name.setdefault((endpoint.network_id, name), []).append(endpoint)

    def find(self, own: Iterable[Endpoint], name: str) -> list[Endpoint]:
        """Return whom a container with these endpoints knows by a name: those in the first network that has it."""
        self._index()
        for endpoint in own:
            for plain in _candidates(name, endpoint):
                found = self._by_name.get((endpoint.network_id, endpoint.linked(plain) or plain))
                if found:
                    return found
        return []

    def owner(self, own: Iterable[Endpoint], address: str) -> Endpoint | None:
        """Return who has an address in one of a container's networks."""
        self._index()
        found = (self._by_address.get((endpoint.network_id, address)) for endpoint in own)
        return next((endpoint for endpoint in found if endpoint), None)


def _candidates(name: str, endpoint: Endpoint) -> list[str]:
    plain = name.removesuffix("." + endpoint.network_name.lower())
    return [name] if plain == name else [name, plain]


def answer(directory: Directory, own: Sequence[Endpoint], query: Query, *, datagram: bool) -> bytes | None:
    """Return the answer to a query about containers, None when it is about something else."""
    if query.type == dnswire.PTR and query.name.endswith((REVERSE, REVERSE_6)):
        owner = directory.owner(own, _address(query.name))
        texts = [f"{owner.container_name}.{owner.network_name}"] if owner else []
        found = [dnswire.encode_name(text) for text in texts]
        return dnswire.reply(query, dnswire.NOERROR, found, ttl=TTL, datagram=datagram) if found else None
    endpoints = directory.find(own, query.name) if query.name else []
    if not endpoints:
        return None
    # A name that is there has an answer for every type, if an empty one: upstream would deny the name itself.
    version = {dnswire.A: 4, dnswire.AAAA: 6}.get(query.type)
    addresses = [ipaddress.ip_address(address) for endpoint in endpoints for address in endpoint.ips]
    data = [address.packed for address in addresses if address.version == version]
    random.shuffle(data)
    return dnswire.reply(query, dnswire.NOERROR, data, ttl=TTL, datagram=datagram)


def _address(name: str) -> str:
    """Return the address of a name such as `2.0.18.172.in-addr.arpa`, nothing when it is none."""
    try:
        if name.endswith(REVERSE):
            return str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(REVERSE).split(".")))))
        digits = "".join(reversed(name.removesuffix(REVERSE_6).split(".")))
        return str(ipaddress.IPv6Address(bytes.fromhex(digits)))
    except ValueError:
        return ""
