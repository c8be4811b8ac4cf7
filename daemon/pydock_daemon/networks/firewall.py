"""The one nftables table of this daemon: published ports, masquerade, isolation. Used by `service`.

Its rules never change; what changes are elements of its sets and maps, 80 us each, any number in one transaction:

    bridges   links of our networks               same      pairs (link, itself)
    internal  links that lead nowhere else        outward   subnets that are masqueraded when they leave the host
    ports     proto . port       -> address . port            published on every address of the host
    bound     ip . proto . port  -> address . port            published on one address of the host

A published port is a DNAT for packets to any address of this host, in prerouting and, for the host's own processes,
in output; 127.0.0.1 too, which needs `route_localnet` on the bridges and the host's address as source. So that
`route_localnet` opens nothing, packets for 127/8 that come from a bridge are dropped before anything else sees them.
Forwarding into a bridge takes answers, published ports and the bridge's own traffic; other networks, and whoever routes
to a container's address from outside, are dropped (as Docker 28 does).

An accept here does not undo a drop in another table: beside a dockerd (whose FORWARD chain drops) nothing is forwarded
until the administrator lets the bridge pass; `blockers` tells.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .model import EVERY_ADDRESS, Network, Published
from .nft import Nft, NftError

CHAINS = """
  chain early {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges ip saddr 127.0.0.0/8 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump publish
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump publish
  }
  chain publish {
    dnat to ip daddr . meta l4proto . th dport map @bound
    dnat to meta l4proto . th dport map @ports
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname @bridges jump inward
    ip saddr @outward masquerade
  }
  chain inward {
    ip saddr 127.0.0.0/8 masquerade
    ct status dnat iifname . oifname @same masquerade
    ct status dnat ip saddr @outward ip daddr @outward masquerade
    accept
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname @bridges jump toward
    iifname @internal drop
  }
  chain toward {
    ct state established,related accept
    iifname . oifname @same accept
    iifname @internal drop
    oifname @internal drop
    ct status dnat accept
    drop
  }
"""
RULES = sum(not line.strip().startswith(("chain ", "type ", "}")) for line in CHAINS.strip().splitlines())
SETS = {
    "bridges": "set bridges { type ifname; %s}",
    "internal": "set internal { type ifname; %s}",
    "same": "set same { type ifname . ifname; %s}",
    "outward": "set outward { type ipv4_addr; flags interval; %s}",
    "ports": "map ports { type inet_proto . inet_service : ipv4_addr . inet_service; %s}",
    "bound": "map bound { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; %s}",
}
Elements = dict[str, list[str]]


@dataclass
class Firewall:
    """The table of one daemon; owns its libnftables context, which `close` frees. What holds is kept here as well."""

    table: str
    _nft: Nft = field(default_factory=Nft)
    _networks: dict[str, Network] = field(default_factory=dict)
    _ports: set[Published] = field(default_factory=set)

    def install(self, networks: Iterable[Network], ports: Iterable[Published]) -> None:
        """Write the whole table anew, in one transaction: there is no moment without it."""
        self._networks = {network.id: network for network in networks}
        self._ports = set(ports)
        self._write()

    def _write(self) -> None:
        elements: Elements = {name: [] for name in SETS}
        for part in (*map(_of_network, self._networks.values()), *map(_of_port, self._ports)):
            for name, values in part.items():
                elements[name] += values
        sets = "".join(f"  {text % _initial(elements[name])}\n" for name, text in SETS.items())
        self._nft.run(
            f"add table ip {self.table}\ndelete table ip {self.table}\ntable ip {self.table} {{\n{sets}{CHAINS}}}\n"
        )

    def add_network(self, network: Network) -> None:
        """Let a network's rules hold."""
        self._networks[network.id] = network
        self._apply("add", [_of_network(network)])

    def remove_network(self, network: Network) -> None:
        """Take a network's rules away."""
        if self._networks.pop(network.id, None):
            self._apply("delete", [_of_network(network)])

    def publish(self, ports: Iterable[Published]) -> None:
        """Publish ports, all in one transaction."""
        added = [port for port in ports if port not in self._ports]
        self._ports.update(added)
        self._apply("add", [_of_port(port) for port in added])

    def withdraw(self, ports: Iterable[Published]) -> None:
        """Withdraw published ports, all in one transaction."""
        gone = [port for port in ports if port in self._ports]
        self._ports.difference_update(gone)
        self._apply("delete", [_of_port(port) for port in gone])

    def _apply(self, verb: str, parts: list[Elements]) -> None:
        """Change elements; when the table is not as we left it (somebody flushed it), write it anew."""
        elements: Elements = {}
        for part in parts:
            for name, values in part.items():
                elements.setdefault(name, []).extend(values)
        if not elements:
            return
        if verb == "delete":
            elements = {name: [value.partition(" : ")[0] for value in values] for name, values in elements.items()}
        command = "".join(
            f"{verb} element ip {self.table} {name} {{ {', '.join(values)} }}\n" for name, values in elements.items()
        )
        try:
            self._nft.run(command)
        except NftError:
            self._write()

    def intact(self) -> bool:
        """Say whether the table still has all its rules; costs a listing, for reconcile and not for every start."""
        try:
            listed = self._nft.query(f"list table ip {self.table}")
        except NftError:
            return False
        return sum("rule" in item for item in listed) == RULES

    def blockers(self) -> list[str]:
        """Return the forward chains of others, as `family table chain`, whose policy drops what we accept."""
        chains = [item["chain"] for item in self._nft.query("list chains") if "chain" in item]
        return [f"{chain['family']} {chain['table']} {chain['name']}" for chain in chains if _drops(chain)]

    def destroy(self) -> None:
        """Remove the table."""
        self._nft.run(f"add table ip {self.table}\ndelete table ip {self.table}\n")

    def close(self) -> None:
        """Free the context; the table stays, and with it what is published."""
        self._nft.close()


def _initial(elements: list[str]) -> str:
    return f"elements = {{ {', '.join(elements)} }}; " if elements else ""


def _drops(chain: dict[str, Any]) -> bool:
    return chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["family"] in ("ip", "inet")


def _of_network(network: Network) -> Elements:
    elements = {"bridges": [f'"{network.link}"'], "same": [f'"{network.link}" . "{network.link}"']}
    if network.internal:
        elements["internal"] = [f'"{network.link}"']
    if network.masquerade:
        elements["outward"] = [network.subnet]
    return elements


def _of_port(port: Published) -> Elements:
    target = f"{port.proto} . {port.host_port} : {port.address} . {port.port}"
    return {"ports": [target]} if port.host_ip == EVERY_ADDRESS else {"bound": [f"{port.host_ip} . {target}"]}
