"""Networks made, removed, pruned and listed. Used by api.networks and prune.

Docker's words and statuses for every refusal; an option that is not carried out is refused by its name.
"""

import asyncio
import ipaddress
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from pydock_daemon import patterns
from pydock_shared import names
from pydock_shared.errors import Conflict, Forbidden, InvalidArgument, NotFound, NotSupported, PydockError
from pydock_shared.filters import Filters
from pydock_shared.times import parse_moment, rfc3339
from pydock_shared.wire.network import IPAMConfig, NetworkCreate

from . import links, setup
from .ipam import Subnet, Subnet6, unique_subnet
from .links import Links
from .model import BRIDGE_NAME, HOST_BINDING, ICC, MASQUERADE, MTU, PREDEFINED, PREFIX, Addresses, Network

if TYPE_CHECKING:
    from .service import Networks

LINK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")
PREFIX_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,11}")
LEAST_MTU, MOST_MTU = 68, 65535
BOOLEANS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def create(networks: "Networks", body: NetworkCreate) -> Network:
    """Make a network and its bridge; what fails leaves nothing."""
    name = body.name or ""
    if not name.strip():
        raise InvalidArgument(f"invalid name: {name}")
    if name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {name} network ")
    if name in networks.by_name:
        raise Conflict(f"network with name {name} already exists")
    _check(body)
    options = _options(body.options or {})
    id_ = names.new_id()
    link = options.get(BRIDGE_NAME) or f"br-{id_[:12]}"
    _check_link(networks, id_, link)
    with ExitStack() as undo, setup.subnet_lock():
        network = Network(
            id_,
            name,
            time.time_ns(),
            link=link,
            internal=bool(body.internal),
            attachable=bool(body.attachable),
            options=options,
            labels=body.labels or {},
            ipam_options=body.ipam.options if body.ipam else None,
            **_addresses(networks, body),
        )
        undo.callback(networks.links.remove, link)
        setup.bridge(networks, network)
        undo.callback(networks.firewall.remove_network, network)
        networks.firewall.add_network(network)
        setup.save(networks, network)
        undo.pop_all()
    networks.events.publish("network", "create", network.id, {"name": name, "type": network.driver})
    return network


def _check(body: NetworkCreate) -> None:
    driver = body.driver or "bridge"
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver in ("macvlan", "ipvlan", "overlay"):
        raise NotSupported(f"network driver {driver} is not supported")
    if driver not in ("bridge", "default"):
        raise NotFound(f'plugin "{driver}" not found')
    ipam = (body.ipam.driver if body.ipam else None) or "default"
    if ipam != "default":
        raise NotFound(f'plugin "{ipam}" not found')
    if body.enable_ipv4 is False:
        raise NotSupported("EnableIPv4=false is not supported")
    for field, value in (
        ("Ingress", body.ingress),
        ("ConfigOnly", body.config_only),
        ("ConfigFrom", body.config_from and body.config_from.network),
        ("IPAM.Options", body.ipam and body.ipam.options),
    ):
        if value:
            raise NotSupported(f"{field} is not supported")
    if body.scope not in (None, "", "local"):
        raise NotSupported(f"network scope {body.scope} is not supported")


def _options(given: dict[str, str]) -> dict[str, str]:
    for key, value in given.items():
        if key not in OPTIONS:
            raise NotSupported(f"network option {key} is not supported")
        OPTIONS[key](key, value)
    return dict(given)


def _check_mtu(key: str, value: str) -> None:
    if not value.isascii() or not value.isdigit():
        raise InvalidArgument(f"failed to parse {key} value: {value}")
    if not LEAST_MTU <= int(value) <= MOST_MTU:
        raise InvalidArgument(f"invalid value for {key}: {value}")


def _check_boolean(key: str, value: str) -> None:
    if value.lower() not in BOOLEANS:
        raise InvalidArgument(f"failed to parse {key} value: {value}")


def _check_host_binding(key: str, value: str) -> None:
    try:
        ipaddress.IPv4Address(value)
    except ValueError as error:
        raise InvalidArgument(f"invalid value for {key}: {value}") from error


def _check_name(key: str, value: str) -> None:
    if not LINK_NAME.fullmatch(value) or value in (".", ".."):
        raise InvalidArgument(f"invalid value for {key}: {value!r} is not a link name of at most 15 characters")


def _check_prefix(key: str, value: str) -> None:
    if not PREFIX_NAME.fullmatch(value):
        raise InvalidArgument(f"invalid value for {key}: {value!r} is not the beginning of a link name")


OPTIONS: dict[str, Callable[[str, str], None]] = {
    BRIDGE_NAME: _check_name,
    MTU: _check_mtu,
    MASQUERADE: _check_boolean,
    ICC: _check_boolean,
    HOST_BINDING: _check_host_binding,
    PREFIX: _check_prefix,
}


def _check_link(networks: "Networks", id_: str, link: str) -> None:
    for other in networks.by_id.values():
        if other.link == link:
            raise Forbidden(
                f"cannot create network {id_} ({link}): conflicts with network {other.id} ({other.link}): "
                "networks have same bridge name"
            )
    if links.index_of(link) is not None:
        raise Forbidden(f"cannot create network {id_} ({link}): a link of that name exists and is not ours")


def _addresses(networks: "Networks", body: NetworkCreate) -> dict[str, Any]:
    """Return the part of the record that says which addresses; the caller holds the subnet lock."""
    configs = [config for config in (body.ipam.config if body.ipam else None) or () if config.subnet or config.gateway]
    parsed = [(_subnet(config.subnet or ""), config) for config in configs]
    fours = [_configured(networks, subnet, config) for subnet, config in parsed if subnet.version == 4]
    sixes = [_configured(networks, subnet, config) for subnet, config in parsed if subnet.version == 6]
    if len(fours) > 1 or len(sixes) > 1:
        raise Forbidden("bridge driver doesn't support multiple subnets")
    if sixes and not body.enable_ipv6:
        raise NotSupported(f"the IPv6 subnet {sixes[0].subnet} without EnableIPv6 is not supported")
    found = vars(fours[0] if fours else _chosen(setup.choose_subnet(networks)))
    if body.enable_ipv6:
        return found | {"six": sixes[0] if sixes else _chosen(unique_subnet())}
    return found


def _chosen(subnet: Subnet | Subnet6) -> Addresses:
    return Addresses(str(subnet), str(subnet.network_address + 1), gateway_given=True)


def _subnet(text: str) -> Subnet | Subnet6:
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError as error:
        raise _wrong(f"invalid subnet {text}: invalid CIDR block notation") from error
    if interface.ip != interface.network.network_address:
        raise _wrong(f"invalid subnet {text}: it should be {interface.network}")
    if interface.network.max_prefixlen - interface.network.prefixlen < 2:
        raise _wrong(f"invalid subnet {text}: it has no address for a container")
    return interface.network


def _configured(networks: "Networks", subnet: Subnet | Subnet6, config: IPAMConfig) -> Addresses:
    if config.ip_range:
        _range_within(subnet, config.ip_range)
    auxiliary = config.auxiliary_addresses or {}
    if config.gateway:
        _address_within(subnet, "gateway", config.gateway)
    for address in auxiliary.values():
        _address_within(subnet, "auxiliary address", address)
    for other in networks.by_id.values():
        for taken in (other.subnet, other.six.subnet if other.six else ""):
            if taken and subnet.overlaps(ipaddress.ip_network(taken)):
                raise Forbidden("Pool overlaps with other one on this address space")
    gateway = config.gateway or str(subnet.network_address + 1)
    return Addresses(
        str(subnet),
        gateway,
        ip_range=config.ip_range or "",
        auxiliary=auxiliary,
        subnet_given=True,
        gateway_given=bool(config.gateway),
    )


def _wrong(problem: str) -> InvalidArgument:
    return InvalidArgument(f"invalid network config:\n{problem}")


def _range_within(subnet: Subnet | Subnet6, value: str) -> None:
    try:
        inner = ipaddress.ip_network(value)
    except ValueError as error:
        raise _wrong(f"invalid ip-range {value}: invalid CIDR block notation") from error
    if inner.network_address not in subnet or inner.broadcast_address not in subnet:
        raise _wrong(f"invalid ip-range {value}: parent subnet {subnet} doesn't contain ip-range")


def _address_within(subnet: Subnet | Subnet6, word: str, value: str) -> None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise _wrong(f"invalid {word} {value}: invalid address") from error
    if address not in subnet:
        raise _wrong(f"invalid {word} {value}: parent subnet {subnet} doesn't contain this address")


async def remove(networks: "Networks", network: Network) -> None:
    """Remove a network that no running container is in."""
    if network.predefined:
        raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
    if networks.endpoints(network):
        raise Forbidden(f"error while removing network: network {network.name} id {network.id} has active endpoints")
    with networks.store.transaction() as db:
        db.execute("delete from networks where id = ?", (network.id,))
    networks.forget(network)
    networks.firewall.remove_network(network)
    networks.events.publish("network", "destroy", network.id, {"name": network.name, "type": network.driver})
    # The kernel takes 40 ms (RCU) to delete a bridge: not on the event loop's thread, so with a socket of its own.
    await asyncio.to_thread(_remove_link, network.link)


def _remove_link(name: str) -> None:
    with closing(Links()) as own:
        try:
            own.remove(name)
        except OSError as error:
            raise PydockError(f"failed to remove bridge {name}: {error}") from error


PRUNE_FILTERS = ("until", "label", "label!")


async def prune(networks: "Networks", filters: Filters) -> list[str]:
    """Remove the user-defined networks that no running container is in; return their names."""
    filters.check_known(PRUNE_FILTERS)
    until = [parse_moment(text) for text in filters.values("until")]
    gone = []
    for network in list(networks.by_id.values()):
        old_enough = all(network.created <= moment for moment in until)
        labelled = filters.match_labels(network.labels) and not _unwanted(filters, network)
        if network.predefined or networks.endpoints(network) or not old_enough or not labelled:
            continue
        await remove(networks, network)
        gone.append(network.name)
    networks.events.publish("network", "prune", "", {"reclaimed": "0"})
    return gone


def _unwanted(filters: Filters, network: Network) -> bool:
    return "label!" in filters and filters.match_labels(network.labels, "label!")


FILTERS: dict[str, Callable[["Networks", Network, str], bool]] = {
    "driver": lambda networks, network, value: network.driver == value,
    "id": lambda networks, network, value: patterns.among((value,), network.id),
    "name": lambda networks, network, value: patterns.among((value,), network.name),
    "scope": lambda networks, network, value: value == "local",
    "type": lambda networks, network, value: (value == "builtin") == network.predefined,
}


def listed(networks: "Networks", filters: Filters) -> list[Network]:
    """Return the networks asked for."""
    filters.check_known((*FILTERS, "label", "dangling"))
    for value in filters.values("type"):
        if value not in ("custom", "builtin"):
            raise InvalidArgument(f"invalid filter: 'type'='{value}'")
    dangling = filters.flag("dangling")
    return [
        network
        for network in networks.by_id.values()
        if all(
            any(test(networks, network, value) for value in filters.values(key))
            for key, test in FILTERS.items()
            if filters.values(key)
        )
        and filters.match_labels(network.labels)
        and (dangling is None or dangling == (not network.predefined and not networks.endpoints(network)))
    ]


def inspect(networks: "Networks", network: Network, *, members: bool) -> dict[str, Any]:
    """Return a network as Docker's JSON; its containers only when asked for one, as in Docker."""
    configs = [_config(found) for found in (network, network.six) if found and found.subnet]
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": network.six is not None,
        "IPAM": {
            "Driver": "default",
            "Options": network.ipam_options,
            "Config": configs or None,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            endpoint.container: {
                "Name": endpoint.container_name,
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.mac,
                "IPv4Address": endpoint.address,
                "IPv6Address": endpoint.address6,
            }
            for endpoint in (networks.endpoints(network) if members else ())
        },
        "Options": network.options,
        "Labels": network.labels,
    }


def _config(addresses: Network | Addresses) -> dict[str, Any]:
    config: dict[str, Any] = {"Subnet": addresses.subnet}
    config |= {"IPRange": addresses.ip_range} if addresses.ip_range else {}
    config |= {"Gateway": addresses.gateway} if addresses.gateway_given else {}
    config |= {"AuxiliaryAddresses": addresses.auxiliary} if addresses.auxiliary else {}
    return config
