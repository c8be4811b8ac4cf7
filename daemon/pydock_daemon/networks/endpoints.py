"""What is asked of each network of a container, checked and in order; how it is shown. Used by `service`."""

import ipaddress
import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydock_shared import links, names
from pydock_shared.errors import InvalidArgument, NotFound

from . import driveroptions
from .ipam import Pool
from .links import mac_of, veth_name
from .model import Endpoint, Network

if TYPE_CHECKING:
    from .service import Networks

MAC = re.compile(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
WITHOUT_NETWORK = ("none", "host")
EMPTY: dict[str, Any] = {
    "IPAMConfig": None,
    "Links": None,
    "Aliases": None,
    "MacAddress": "",
    "DriverOpts": None,
    "NetworkID": "",
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "DNSNames": None,
}


@dataclass(frozen=True)
class Plan:
    """A place in a network that a container is to get; empty addresses are to be chosen."""

    network: Network
    address: str
    address6: str
    mac: str
    aliases: tuple[str, ...]
    priority: int
    links: tuple[tuple[str, str], ...] = ()
    default_route: bool = False
    default_route6: bool = False
    interface: str = ""
    link_local: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()


def plan(
    networks: "Networks", mode: str, endpoints: dict[str, dict[str, Any]], *, existing_only: bool = False
) -> list[Plan]:
    """Return the places asked for, that of `eth0` first; Docker's errors for what cannot be.

    The default route goes through the network of the highest GwPriority, then the first by name, as in Docker.
    """
    mode = mode or "bridge"
    if mode.startswith("container:"):
        return []
    # A container that was taken out of its first network and put into others has only those.
    first = {mode: endpoints.get(mode, {})} if mode in endpoints or not endpoints else {}
    asked = first | dict(sorted(endpoints.items()))
    plans: dict[str, Plan] = {}
    for name, settings in asked.items():
        try:
            network = networks.get(name)
        except NotFound:
            if existing_only:
                continue
            raise
        if network.id not in plans or settings:
            plans[network.id] = _one(network, settings or {})
    _together(list(plans.values()))
    interfaces(list(plans.values()), set())
    routed = [item for item in plans.values() if item.network.gateway and not item.network.internal]
    chosen = _first(routed)
    chosen6 = _first([item for item in routed if item.network.six])
    return [replace(item, default_route=item is chosen, default_route6=item is chosen6) for item in plans.values()]


def _first(plans: list[Plan]) -> Plan | None:
    return min(plans, key=lambda item: (-item.priority, item.network.name), default=None)


def _together(plans: list[Plan]) -> None:
    names = [item.network.name for item in plans]
    if len(names) > 1 and "host" in names:
        raise InvalidArgument("container cannot be disconnected from host network or connected to host network")
    if len(names) > 1 and "none" in names:
        raise InvalidArgument(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )


def _one(network: Network, settings: dict[str, Any]) -> Plan:
    problems: list[str] = []
    options = driveroptions.read(settings.get("DriverOpts") or {}, problems)
    ipam = settings.get("IPAMConfig") or {}
    address, address6 = ipam.get("IPv4Address") or "", ipam.get("IPv6Address") or ""
    six = network.six
    for wanted, subnet, given in (
        (address, network.subnet, network.subnet_given),
        (address6, six.subnet if six else "", bool(six and six.subnet_given)),
    ):
        if wanted and network.predefined:
            problems.append("user specified IP address is supported on user defined networks only")
        if wanted and not given:
            problems.append(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
        elif wanted and not _inside(wanted, subnet, problems):
            problems.append(f"no configured subnet or ip-range contain the IP address {wanted}")
    if settings.get("Aliases") and network.predefined:
        problems.append("network-scoped aliases are only supported for user-defined networks")
    link_local = _link_local(ipam.get("LinkLocalIPs") or [], problems)
    mac = settings.get("MacAddress") or ""
    if mac and not MAC.fullmatch(mac):
        problems.append(f"invalid MAC address: {mac}")
    if problems:
        text = problems[0] if len(problems) == 1 else "\n".join(f"* {problem}" for problem in problems)
        raise InvalidArgument(f"invalid endpoint settings:\n{text}")
    aliases = tuple(dict.fromkeys(settings.get("Aliases") or ()))
    # In the default network they are in HostConfig.Links, and clients may say them here as well.
    named = [links.parse(text) for text in settings.get("Links") or ()]
    return Plan(
        network,
        address,
        address6,
        mac.lower(),
        aliases,
        int(settings.get("GwPriority") or 0),
        tuple((alias.lower(), name.lower()) for name, alias in named),
        interface=options.interface,
        link_local=link_local,
        sysctls=options.sysctls,
    )


def _inside(address: str, subnet: str, problems: list[str]) -> bool:
    network = ipaddress.ip_network(subnet)
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        problems.append(f"invalid IPv{network.version} address: {address}")
        return False


def _link_local(asked: list[str], problems: list[str]) -> tuple[str, ...]:
    """Return addresses of the link with the prefix lengths of their kind; they are of no network."""
    found = []
    for text in asked:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            problems.append(f"invalid link-local IP address: {text}")
            continue
        if not address.is_link_local:
            problems.append(f"invalid link local IP address: {text}")
        found.append(f"{address}/{16 if address.version == 4 else 64}")
    return tuple(found)


def interfaces(plans: list[Plan], present: set[str]) -> list[str]:
    """Return a name for the interface of each plan beside those that are there: what is asked for, or the next ethN.

    Where the network says so they are called otherwise than `eth`.
    """
    asked = [item.interface for item in plans if item.interface]
    twice = next((name for name in asked if asked.count(name) > 1 or name in present), None)
    if twice:
        raise InvalidArgument(f"more than one interface of the container is to be called {twice}")
    taken = {*asked, *present}
    found = []
    for item in plans:
        prefix = item.network.prefix_of_interfaces
        free = (f"{prefix}{number}" for number in range(len(taken) + 1) if f"{prefix}{number}" not in taken)
        found.append(item.interface or next(free))
        taken.add(found[-1])
    return found


def place(
    networks: "Networks", undo: ExitStack, interface: str, item: Plan, container: str, name: str, hostname: str
) -> Endpoint:
    """Return the endpoint of a plan, with an address of its network that `undo` gives back."""
    network = item.network
    endpoint = Endpoint(names.new_id(), network.id, network.name, container, name)
    if not network.subnet:
        return endpoint
    address = _take(undo, networks.pools[network.id], item.address)
    six = network.six
    address6 = _take(undo, networks.pools6[network.id], item.address6) if six else ""
    named = not network.predefined or networks.config.default_network_names
    own = (name, *item.aliases, container[:12], hostname) if named else ()
    return Endpoint(
        **{
            **vars(endpoint),
            "interface": interface,
            "link": veth_name(),
            "mac": item.mac or mac_of(address),
            "address": f"{address}/{network.prefix}",
            "gateway": "" if network.internal else network.gateway,
            "address6": f"{address6}/{six.prefix}" if six else "",
            "gateway6": six.gateway if six and not network.internal else "",
            "default_route6": item.default_route6,
            "mtu": network.mtu,
            "default_route": item.default_route,
            "named": named,
            "aliases": tuple(item.aliases),
            "dns_names": tuple(dict.fromkeys(own)),
            "links": () if network.predefined else item.links,
            "link_local": item.link_local,
            "sysctls": item.sysctls,
        }
    )


def _take(undo: ExitStack, pool: Pool, wanted: str) -> str:
    address = pool.claim(wanted) if wanted else pool.take()
    undo.callback(pool.release, address)
    return address


def renamed(endpoint: Endpoint, name: str) -> Endpoint:
    """Return an endpoint of a container that has another name now."""
    names = (name if known == endpoint.container_name else known for known in endpoint.dns_names)
    return replace(endpoint, container_name=name, dns_names=tuple(dict.fromkeys(names)))


def view(asked: dict[str, Any], network: Network | None, endpoint: Endpoint | None) -> dict[str, Any]:
    """Return an element of NetworkSettings.Networks."""
    shown = EMPTY | {
        key: asked[key] for key in ("IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts") if asked.get(key)
    }
    shown["GwPriority"] = asked.get("GwPriority") or 0
    if network and endpoint:
        shown |= {"NetworkID": network.id, "EndpointID": endpoint.id}
    if endpoint and endpoint.address:
        shown |= {
            "MacAddress": endpoint.mac,
            "Gateway": endpoint.gateway,
            "IPAddress": endpoint.ip,
            "IPPrefixLen": int(endpoint.address.partition("/")[2]),
            "DNSNames": list(endpoint.dns_names) or None,
        }
    if endpoint and endpoint.address6:
        shown |= {
            "IPv6Gateway": endpoint.gateway6,
            "GlobalIPv6Address": endpoint.ip6,
            "GlobalIPv6PrefixLen": int(endpoint.address6.partition("/")[2]),
        }
    return shown
