"""What the networks need in the host, made, mended and taken away: forwarding, bridges, the table. Used by `service`.

Links of ours carry the table's name as their alias. What has that alias and no record is a leftover and goes.
"""

import ipaddress
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pydock_daemon.config import Config
from pydock_shared import names
from pydock_shared.errors import PydockError, Unavailable

from . import links
from .ipam import DOCKER_POOLS, Subnet, free_subnet, unique_subnet
from .model import BRIDGE_NAME, DEFAULT_BRIDGE, HOST_BINDING, ICC, MASQUERADE, MTU, Addresses, Network

if TYPE_CHECKING:
    from .service import Networks

log = logging.getLogger("pydockd.networks")
LOCK = "\0pydock subnets"
LOCK_WAIT = 5.0


def up(networks: "Networks") -> None:
    """Make everything the records ask for; the three predefined networks first, where they are missing."""
    links.enable_forwarding()
    _predefined(networks)
    _remove_leftovers(networks)
    for network in _bridged(networks):
        bridge(networks, network)
    networks.firewall.install(_bridged(networks), networks.published())
    for warning in networks.warnings():
        log.warning("%s", warning)


def down(networks: "Networks") -> None:
    """Remove the table and every bridge of ours."""
    networks.firewall.destroy()
    for link in networks.links.all():
        if link.alias == networks.table:
            networks.links.remove(link.name)


def mend(networks: "Networks") -> list[str]:
    """Make again what somebody else took away; return what was done, in words."""
    done = []
    for network in _bridged(networks):
        if links.index_of(network.link) is None:
            bridge(networks, network)
            done.append(f"bridge {network.link} of network {network.name} made again")
    present = {link.name: link for link in networks.links.all()}
    for endpoint in networks.endpoints():
        network = networks.by_id[endpoint.network_id]
        link, master = present.get(endpoint.link), present.get(network.link)
        if link and master and link.master != master.index:
            networks.links.enslave(link, master.index, apart=network.apart)
            done.append(f"link {link.name} plugged into {master.name} again")
    if not networks.firewall.intact():
        networks.firewall.install(_bridged(networks), networks.published())
        done.append(f"nftables table {networks.table} made again")
    return done


def bridge(networks: "Networks", network: Network) -> None:
    """Make the bridge of a network; PydockError names a link that is in the way."""
    addresses = [f"{network.gateway}/{network.prefix}"]
    try:
        if network.six:
            addresses.append(f"{network.six.gateway}/{network.six.prefix}")
            links.enable_forwarding_6()
        networks.links.bridge(network.link, addresses, network.mtu, networks.table)
    except OSError as error:
        raise PydockError(f"failed to make bridge {network.link} of network {network.name}: {error}") from error


def choose_subnet(networks: "Networks") -> Subnet:
    """Return a subnet that no network of ours and no route of the host has; hold `subnet_lock` until it is a route."""
    pools = networks.config.default_address_pools or DOCKER_POOLS
    ours = [Subnet(network.subnet) for network in _bridged(networks)]
    return free_subnet(pools, [*ours, *networks.links.taken()])


@contextmanager
def subnet_lock() -> Iterator[None]:
    """Keep other daemons of our kind from choosing a subnet until the block ends; a name of the network namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                lock.bind(LOCK)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Unavailable("another daemon has been choosing a subnet for too long") from error
                time.sleep(0.002)
        yield


def save(networks: "Networks", network: Network) -> None:
    """Write a network's record and make it known."""
    with networks.store.transaction() as db:
        db.execute(
            "insert or replace into networks (id, name, created, record) values (?, ?, ?, ?)",
            (network.id, network.name, network.created, network.record()),
        )
    networks.keep(network)


def _bridged(networks: "Networks") -> list[Network]:
    return [network for network in networks.by_id.values() if network.link]


def _predefined(networks: "Networks") -> None:
    for name, driver in (("none", "null"), ("host", "host")):
        if name not in networks.by_name:
            save(networks, Network(names.new_id(), name, time.time_ns(), driver=driver))
    stored = networks.by_name.get("bridge")
    config = networks.config
    given = ipaddress.IPv4Interface(config.bip) if config.bip else None
    changed = stored and (
        stored.link != config.bridge
        or stored.mtu != config.mtu
        or (given and f"{stored.gateway}/{stored.prefix}" != str(given))
        or stored.six != _six(config, stored)
    )
    if stored and changed and networks.endpoints(stored):
        log.warning("containers use network bridge: its new settings hold from the next start without any")
        return
    if stored and not changed:
        return
    with ExitStack() as stack:
        stack.enter_context(subnet_lock())
        _default_bridge(networks, stored, given)


def _six(config: Config, stored: Network | None) -> Addresses | None:
    """Return the addresses of IPv6 that the default network is to have; those it has, where they are not said."""
    if not config.ipv6:
        return None
    if stored and stored.six and config.fixed_cidr_v6 in (None, stored.six.subnet):
        return stored.six
    subnet = ipaddress.IPv6Network(config.fixed_cidr_v6) if config.fixed_cidr_v6 else unique_subnet()
    return Addresses(str(subnet), str(subnet.network_address + 1), gateway_given=True)


def _default_bridge(networks: "Networks", stored: Network | None, given: ipaddress.IPv4Interface | None) -> None:
    config = networks.config
    id_, created = (stored.id, stored.created) if stored else (names.new_id(), time.time_ns())
    if stored:
        networks.links.remove(stored.link)
        networks.forget(stored)
    # A bridge of ours whose record is lost would make its own subnet look taken.
    _remove_leftovers(networks)
    subnet = given.network if given else Subnet(stored.subnet) if stored else choose_subnet(networks)
    network = Network(
        id_,
        "bridge",
        created,
        subnet=str(subnet),
        gateway=str(given.ip if given else subnet.network_address + 1),
        gateway_given=True,
        link=config.bridge,
        six=_six(config, stored),
        options={
            DEFAULT_BRIDGE: "true",
            ICC: "true",
            MASQUERADE: "true",
            HOST_BINDING: "0.0.0.0",
            BRIDGE_NAME: config.bridge,
            MTU: str(config.mtu),
        },
    )
    bridge(networks, network)
    save(networks, network)


def _remove_leftovers(networks: "Networks") -> None:
    known = {network.link for network in _bridged(networks)}
    for link in networks.links.all():
        if link.alias == networks.table and link.name not in known:
            networks.links.remove(link.name)
            log.info("bridge %s, which no network has, removed", link.name)
