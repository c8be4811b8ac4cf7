"""The networks of one daemon: which exist, who is in them, what is published. Used by containers and api.networks.

Everything is synchronous and short (netlink, one nft transaction, one SQLite commit) and runs on the event-loop thread.
A start is connect -> publish -> plug, an exit is disconnect. Addresses, endpoints and ports are rows, so that a daemon
that comes back finds them; the kernel keeps links and rules meanwhile. Operations on networks themselves are functions
in `define`; `setup` makes and takes away what stands in the host.
"""

import logging
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydock_daemon.config import Config
from pydock_daemon.events import Events
from pydock_daemon.store import Store
from pydock_shared.errors import InvalidArgument, NotFound, PydockError, Unavailable

from . import flows, links, nameserver, ports, setup
from .claims import PREFIX, Claims
from .endpoints import interfaces, place, plan, renamed, view
from .firewall import Firewall
from .ipam import Pool
from .links import Links
from .model import (
    EVERY_ADDRESS,
    EVERY_ADDRESS_6,
    HOST_BINDING,
    SCHEMA,
    Endpoint,
    Network,
    Published,
    endpoint_of,
    network_of,
    published_of,
)
from .names import Directory
from .netlink import NETLINK_NETFILTER, Socket
from .nft import NftError
from .proxies import Proxies
from .watch import Watch

log = logging.getLogger("pydockd.networks")
__all__ = ["SCHEMA", "Networks"]


class Networks:
    """The table of networks and of who is in them; owns sockets and nft context from `open` to `close`."""

    def __init__(self, store: Store, events: Events, config: Config, root: Path) -> None:
        del root  # Everything is rows and the kernel's objects.
        self.store = store
        self.events = events
        self.config = config
        self.table = f"{PREFIX}{config.bridge}"
        self.by_id: dict[str, Network] = {}
        self.by_name: dict[str, Network] = {}
        self.pools: dict[str, Pool] = {}
        self.pools6: dict[str, Pool] = {}
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._published: dict[str, list[Published]] = {}
        self.directory = Directory(self.endpoints)
        self.nameservers = nameserver.NameServers()
        self._stack = ExitStack()

    async def open(self) -> None:
        """Load the records and make the host what they say; Unavailable when another daemon has this bridge."""
        with ExitStack() as stack:
            guard = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            try:
                guard.bind(f"\0{self.table}")
            except OSError as error:
                raise Unavailable(f"bridge {self.config.bridge} belongs to another daemon that runs") from error
            self.links = Links()
            stack.callback(self.links.close)
            self.firewall = Firewall(self.table)
            stack.callback(self.firewall.close)
            self._netfilter = Socket(NETLINK_NETFILTER)
            stack.callback(self._netfilter.close)
            self._ports = ports.HostPorts(Claims(self.table, self._netfilter))
            self._proxies = Proxies(self.table)
            self._load()
            setup.up(self)
            stack.callback(self.nameservers.close_all)
            self._watch = Watch(self.table, self._heal)
            stack.callback(self._watch.close)
            self._stack = stack.pop_all()

    def _load(self) -> None:
        for row in self.store.all("select * from networks order by created"):
            self.keep(network_of(row))
        for row in self.store.all("select * from endpoints order by rowid"):
            endpoint = endpoint_of(row)
            self._endpoints.setdefault(endpoint.container, []).append(endpoint)
            if endpoint.address:
                self.pools[endpoint.network_id].mark(endpoint.ip)
            if endpoint.address6:
                self.pools6[endpoint.network_id].mark(endpoint.ip6)
        for row in self.store.all("select * from ports order by rowid"):
            port = published_of(row)
            self._published.setdefault(port.container, []).append(port)
            self._ports.mark([port])

    async def leave(self, *, live: bool) -> None:
        """Say good-bye at a clean shutdown: without running containers the table and the bridges go as well.

        The records stay, and `open` makes all of it anew.
        """
        if not live:
            self._watch.close()
            setup.down(self)

    async def close(self) -> None:
        """Let go of sockets; links and rules stay."""
        self._stack.close()

    def keep(self, network: Network) -> None:
        """Make a network known to this process."""
        self.by_id[network.id] = self.by_name[network.name] = network
        if network.subnet:
            reserved = (network.gateway, *network.auxiliary.values())
            self.pools[network.id] = Pool(network.name, network.subnet, network.ip_range, reserved)
        if network.six:
            reserved = (network.six.gateway, *network.six.auxiliary.values())
            self.pools6[network.id] = Pool(network.name, network.six.subnet, network.six.ip_range, reserved)

    def forget(self, network: Network) -> None:
        """Make a network unknown to this process."""
        del self.by_id[network.id], self.by_name[network.name]
        self.pools.pop(network.id, None)
        self.pools6.pop(network.id, None)

    def get(self, name: str) -> Network:
        """Return a network by id, name or beginning of an id; NotFound with Docker's words."""
        name = "bridge" if name == "default" else name
        found = self.by_id.get(name) or self.by_name.get(name)
        if found:
            return found
        matches = [network for id_, network in self.by_id.items() if name and id_.startswith(name)]
        if len(matches) > 1:
            raise InvalidArgument(f"network {name} is ambiguous ({len(matches)} matches found based on ID prefix)")
        if not matches:
            raise NotFound(f"network {name} not found")
        return matches[0]

    def endpoints(self, network: Network | None = None) -> list[Endpoint]:
        """Return the endpoints of a network, or all."""
        every = (endpoint for entries in self._endpoints.values() for endpoint in entries)
        return [endpoint for endpoint in every if network is None or endpoint.network_id == network.id]

    def of_container(self, container: str) -> list[Endpoint]:
        """Return the endpoints of a container: none when it does not run."""
        return self._endpoints.get(container, [])

    def published(self) -> Iterable[Published]:
        """Yield every published port."""
        return (port for entries in self._published.values() for port in entries)

    def check_new(self, mode: str, endpoints: dict[str, dict[str, Any]]) -> None:
        """Do as `check` for a new container; the error says in which network."""
        for name, settings in endpoints.items():
            try:
                plan(self, name, {name: settings}, existing_only=True)
            except InvalidArgument as error:
                raise InvalidArgument(f"invalid config for network {name}: {error.message}") from error
        self.check(mode, endpoints)

    def check(self, mode: str, endpoints: dict[str, dict[str, Any]]) -> None:
        """Refuse settings of endpoints that cannot be carried out; missing networks are `connect`'s business."""
        plan(self, mode, endpoints, existing_only=True)

    def connect(
        self, container_id: str, name: str, hostname: str, mode: str, endpoints: dict[str, dict[str, Any]]
    ) -> list[Endpoint]:
        """Give a container that starts its place and address in each of its networks, in one transaction.

        Return those that have an interface, `eth0` first. Settings are Docker's EndpointSettings by network name; mode
        is the network of `eth0`. NotFound, InvalidArgument and Forbidden (address in use) have Docker's words.
        """
        self.disconnect(container_id)
        plans = plan(self, mode, endpoints)
        with ExitStack() as undo:
            made = [
                place(self, undo, interface, item, container_id, name, hostname)
                for item, interface in zip(plans, interfaces(plans, set()), strict=True)
            ]
            self.keep_endpoints(container_id, made)
            undo.pop_all()
        for endpoint in made:
            self.tell("connect", container_id, endpoint.network_id)
        return [endpoint for endpoint in made if endpoint.address]

    def keep_endpoints(self, container_id: str, endpoints: list[Endpoint]) -> None:
        """Make these the endpoints of a container, in one transaction."""
        with self.store.transaction() as db:
            db.execute("delete from endpoints where container = ?", (container_id,))
            db.executemany(
                "insert into endpoints (id, network, container, record) values (?, ?, ?, ?)",
                [(endpoint.id, endpoint.network_id, container_id, endpoint.record()) for endpoint in endpoints],
            )
        self._endpoints[container_id] = endpoints
        self.directory.changed()

    def rename(self, container_id: str, name: str) -> None:
        """Let a container be known by another name from now on."""
        present = self.of_container(container_id)
        if present:
            self.keep_endpoints(container_id, [renamed(endpoint, name) for endpoint in present])

    def plug(self, endpoint: Endpoint, pid: int) -> dict[str, Any]:
        """Make the veth pair of an endpoint, with its other end in a process's namespace; return the supervisor's part.

        The pair ends with the namespace: there is no unplug.
        """
        network = self.by_id[endpoint.network_id]
        if links.index_of(network.link) is None:
            setup.mend(self)
        try:
            bridge = socket.if_nametoindex(network.link)
            self.links.veth(
                endpoint.link, bridge, pid, endpoint.interface, endpoint.mac, endpoint.mtu, apart=network.apart
            )
        except OSError as error:
            raise PydockError(f"failed to add interface {endpoint.link} to bridge {network.link}: {error}") from error
        return {
            "link": endpoint.interface,
            "name": endpoint.interface,
            "mac": endpoint.mac,
            "addresses": [
                address for address in (endpoint.address, endpoint.address6, *endpoint.link_local) if address
            ],
            "gateway": endpoint.gateway if endpoint.default_route else None,
            "gateway6": endpoint.gateway6 if endpoint.default_route6 else None,
            "mtu": endpoint.mtu,
            "routes": [],
        }

    def publish(
        self,
        container_id: str,
        endpoint: Endpoint,
        port_bindings: dict[str, list[dict[str, Any]]],
        publish_all: bool,
        exposed: Iterable[str],
    ) -> dict[str, list[dict[str, str]] | None]:
        """Publish ports of a container, all or none; return NetworkSettings.Ports. PydockError with Docker's words.

        Ports lead to the endpoint of the default route, where there is one.
        """
        keys = dict.fromkeys(ports.key(key) for key in (*port_bindings, *exposed))
        target = next((item for item in self.of_container(container_id) if item.default_route), endpoint)
        network = self.by_id[target.network_id]
        everywhere = [EVERY_ADDRESS, EVERY_ADDRESS_6] if target.address6 else [EVERY_ADDRESS]
        given = network.options.get(HOST_BINDING, EVERY_ADDRESS)
        default_ips = everywhere if given == EVERY_ADDRESS else [given]
        wishes = ports.wanted(port_bindings, keys, default_ips, publish_all=publish_all)
        shown: dict[str, list[dict[str, str]] | None] = dict.fromkeys(keys)
        if not wishes or network.internal:
            return shown
        try:
            chosen = self._publish(container_id, target, wishes)
        except (ports.PortTaken, NftError, OSError) as error:
            who = f"{target.container_name} ({target.id})"
            raise PydockError(f"driver failed programming external connectivity on endpoint {who}: {error}") from error
        return shown | ports.bindings(chosen)

    def bindings(self, container_id: str) -> dict[str, list[dict[str, str]] | None]:
        """Return the published ports of a container as NetworkSettings.Ports shows them."""
        return dict(ports.bindings(self._published.get(container_id, ())))

    def _publish(self, container: str, target: Endpoint, wishes: list[ports.Wanted]) -> list[Published]:
        with ExitStack() as undo:
            chosen = self._ports.choose(container, target.ips, wishes)
            undo.callback(self._ports.release, chosen)
            with self.store.transaction() as db:
                db.executemany(
                    "insert into ports (container, proto, host_ip, host_port, address, port) values (?, ?, ?, ?, ?, ?)",
                    [
                        (port.container, port.proto, port.host_ip, port.host_port, port.address, port.port)
                        for port in chosen
                    ],
                )
                self._proxies.start(port for port in chosen if port.by_process)
                undo.callback(self._proxies.stop, [port for port in chosen if port.by_process])
                self.firewall.publish(chosen)
            undo.pop_all()
        self._published.setdefault(container, []).extend(chosen)
        flows.forget(self._netfilter, chosen)
        return chosen

    def disconnect(self, container_id: str) -> None:
        """Take back everything an ended container had here: ports, addresses, endpoints. Twice is once."""
        self.nameservers.close(container_id)
        gone, published = self._endpoints.pop(container_id, []), self._published.pop(container_id, [])
        if not gone and not published:
            return
        with self.store.transaction() as db:
            db.execute("delete from endpoints where container = ?", (container_id,))
            if published:
                db.execute("delete from ports where container = ?", (container_id,))
        self.directory.changed()
        self._withdraw(published)
        for endpoint in gone:
            self.release(endpoint)
        for endpoint in gone:
            self.tell("disconnect", container_id, endpoint.network_id)

    def release(self, endpoint: Endpoint) -> None:
        """Give back the address of an endpoint and let its link fall silent."""
        if endpoint.address:
            self.links.silence(endpoint.link)
            self.pools[endpoint.network_id].release(endpoint.ip)
        if endpoint.address6:
            self.pools6[endpoint.network_id].release(endpoint.ip6)

    def unpublish(self, container_id: str) -> None:
        """Take back the published ports of a container."""
        published = self._published.pop(container_id, [])
        if published:
            with self.store.transaction() as db:
                db.execute("delete from ports where container = ?", (container_id,))
            self._withdraw(published)

    def _withdraw(self, published: list[Published]) -> None:
        self.firewall.withdraw(published)
        self._proxies.stop(port for port in published if port.by_process)
        self._ports.release(published)
        flows.forget(self._netfilter, published)

    def tell(self, action: str, container: str, network_id: str) -> None:
        """Publish the event that a container came into a network or left it."""
        network = self.by_id[network_id]
        attributes = {"container": container, "name": network.name, "type": network.driver}
        self.events.publish("network", action, network.id, attributes)

    def settings(self, container_id: str, endpoints: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return NetworkSettings.Networks of a container: what was asked, and what it has while it runs."""
        live = {endpoint.network_id: endpoint for endpoint in self.of_container(container_id)}
        shown = {}
        for name, asked in endpoints.items():
            network = self.by_name.get(name) or self.by_id.get(name)
            endpoint = live.pop(network.id, None) if network else None
            shown[network.name if network else name] = view(asked, network, endpoint)
        for endpoint in live.values():
            shown[endpoint.network_name] = view({}, self.by_id[endpoint.network_id], endpoint)
        return shown

    def reconcile(self, live: set[str]) -> list[str]:
        """Release what ended containers had, mend what is missing in the host; return what was done, in words."""
        done = []
        for container in {*self._endpoints, *self._published} - live:
            self.disconnect(container)
            done.append(f"network endpoints of container {container[:12]}, which does not run, released")
        try:
            self._proxies.settle(port for port in self.published() if port.by_process)
        except OSError as error:
            log.error("a published port of IPv6 cannot be served again: %s", error)
        return done + setup.mend(self)

    def _heal(self) -> None:
        if not self.firewall.intact():
            for line in setup.mend(self):
                log.warning("%s: another program had removed it", line)

    def warnings(self) -> list[str]:
        """Return what keeps packets of containers from being forwarded, in words for people."""
        return [
            f"chain {chain} of another program drops forwarded packets: containers on {self.config.bridge} "
            "reach this host only, until that chain accepts the bridge"
            for chain in self.firewall.blockers()
        ]
