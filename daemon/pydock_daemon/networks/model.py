"""What a network, an endpoint and a published port are: their records and tables. Used by every file of `networks`.

A network is a bridge of the host (or one of the two that need none: host and none). An endpoint is a running
container's place in a network; it exists from start to exit. Addresses are texts outside and integers in the pools.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = """
create table if not exists networks (
    id text primary key,
    name text not null unique,
    created integer not null,
    record text not null
);
create table if not exists endpoints (
    id text primary key,
    network text not null references networks (id),
    container text not null,
    record text not null,
    unique (network, container)
);
create index if not exists endpoints_container on endpoints (container);
create table if not exists ports (
    container text not null,
    proto text not null,
    host_ip text not null,
    host_port integer not null,
    address text not null,
    port integer not null,
    primary key (proto, host_port, host_ip)
);
create index if not exists ports_container on ports (container);
"""

PREDEFINED = ("none", "host", "bridge")
EVERY_ADDRESS = "0.0.0.0"
EVERY_ADDRESS_6 = "::"
OPTION = "com.docker.network."
BRIDGE_NAME = f"{OPTION}bridge.name"
MTU = f"{OPTION}driver.mtu"
MASQUERADE = f"{OPTION}bridge.enable_ip_masquerade"
HOST_BINDING = f"{OPTION}bridge.host_binding_ipv4"
ICC = f"{OPTION}bridge.enable_icc"
PREFIX = f"{OPTION}container_iface_prefix"
NO = ("false", "0", "f")
"""What switches an option off, in small letters."""
DEFAULT_BRIDGE = f"{OPTION}bridge.default_bridge"


@dataclass(frozen=True)
class Addresses:
    """Which addresses of IPv6 a network has; those of IPv4 stand in its record itself, under the same names."""

    subnet: str
    gateway: str
    ip_range: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)
    subnet_given: bool = False
    gateway_given: bool = False

    @property
    def prefix(self) -> int:
        """Return the length of the subnet's prefix."""
        return int(self.subnet.partition("/")[2])


@dataclass(frozen=True)
class Network:
    """A network's record; `subnet` is empty for host and none, `six` None where there is no IPv6."""

    id: str
    name: str
    created: int
    driver: str = "bridge"
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)
    subnet_given: bool = False
    gateway_given: bool = False
    link: str = ""
    internal: bool = False
    attachable: bool = False
    ipam_options: dict[str, str] | None = None
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    six: Addresses | None = None

    @property
    def prefix(self) -> int:
        """Return the length of the subnet's prefix."""
        return int(self.subnet.partition("/")[2])

    @property
    def mtu(self) -> int:
        """Return the MTU of the bridge and of its ports."""
        return int(self.options.get(MTU, 1500))

    @property
    def masquerade(self) -> bool:
        """Say whether packets that leave the host get the host's address."""
        return not self.internal and self.options.get(MASQUERADE, "true").lower() not in NO

    @property
    def apart(self) -> bool:
        """Say whether containers reach each other by published ports only (`enable_icc=false`)."""
        return self.options.get(ICC, "true").lower() in NO

    @property
    def prefix_of_interfaces(self) -> str:
        """Return how the interfaces of containers are called, before their number."""
        return self.options.get(PREFIX) or "eth"

    @property
    def predefined(self) -> bool:
        """Say whether this network was there from the beginning and stays."""
        return self.name in PREDEFINED

    def record(self) -> str:
        """Return what the table's own columns do not hold, as JSON."""
        return json.dumps({key: value for key, value in asdict(self).items() if key not in ("id", "name", "created")})


@dataclass(frozen=True)
class Endpoint:
    """A running container's place in a network. `address` and `link` are empty in host and none."""

    id: str
    network_id: str
    network_name: str
    container: str
    container_name: str
    interface: str = ""
    link: str = ""
    mac: str = ""
    address: str = ""
    gateway: str = ""
    mtu: int = 1500
    default_route: bool = False
    address6: str = ""
    gateway6: str = ""
    default_route6: bool = False
    named: bool = False
    """Whether it is found by its names, and finds others: not in the default network, as in Docker."""
    aliases: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """Names that only this container has for others of the network, each with one that all have."""
    link_local: tuple[str, ...] = ()
    """Further addresses of the interface, with their prefix lengths."""
    sysctls: tuple[tuple[str, str], ...] = ()
    """Kernel parameters of the interface, `net.ipv4.conf.IFNAME.log_martians` and the like, and their values."""

    @property
    def ip(self) -> str:
        """Return the address without its prefix length."""
        return self.address.partition("/")[0]

    @property
    def ip6(self) -> str:
        """Return the address of IPv6 without its prefix length."""
        return self.address6.partition("/")[0]

    @property
    def ips(self) -> list[str]:
        """Return the addresses it has, without their prefix lengths."""
        return [address for address in (self.ip, self.ip6) if address]

    def linked(self, name: str) -> str:
        """Return what a name of a link stands for, nothing when there is none."""
        return next((target for alias, target in self.links if alias == name), "")

    def record(self) -> str:
        """Return what the table's own columns do not hold, as JSON."""
        own = ("id", "network_id", "container")
        return json.dumps({key: value for key, value in asdict(self).items() if key not in own})


@dataclass(frozen=True)
class Published:
    """A port of the host that leads to a port of a container."""

    container: str
    proto: str
    host_ip: str
    host_port: int
    address: str
    port: int

    @property
    def by_process(self) -> bool:
        """Say whether a process passes on what comes there: there is no rule that could."""
        return self.host_ip == "::1" or (":" in self.host_ip) != (":" in self.address)


def network_of(row: Any) -> Network:
    """Return the network of a database row."""
    record = json.loads(row["record"])
    if record.get("six"):
        record["six"] = Addresses(**record["six"])
    return Network(id=row["id"], name=row["name"], created=row["created"], **record)


def endpoint_of(row: Any) -> Endpoint:
    """Return the endpoint of a database row."""
    record = json.loads(row["record"])
    # Rows of containers that began under an earlier version have another word for it.
    record.setdefault("named", record.pop("custom", False))
    for key in ("aliases", "dns_names"):
        record[key] = tuple(record[key])
    for key in ("links", "sysctls"):
        record[key] = tuple((first, second) for first, second in record.get(key, ()))
    record["link_local"] = tuple(record.get("link_local", ()))
    return Endpoint(id=row["id"], network_id=row["network"], container=row["container"], **record)


def published_of(row: Any) -> Published:
    """Return the published port of a database row."""
    return Published(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row is no dictionary
