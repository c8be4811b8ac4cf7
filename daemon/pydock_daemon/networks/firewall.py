"""The nftables table of this daemon: published ports, masquerade, isolation. Used by `service`.

Its rules never change; what changes are elements of its sets and maps, 80 us each, any number in one transaction:

    bridges   links of our networks               same      pairs (link, itself)
    internal  links that lead nowhere else        outward   subnets that are masqueraded when they leave the host
    apart     such pairs of networks whose containers reach each other by published ports only (enable_icc=false; where
              bridged packets do not come by here, ports of the bridge are isolated: this is for the way by the gateway)
    ports     proto . port       -> address . port            published on every address of the host
    bound     ip . proto . port  -> address . port            published on one address of the host

A published port is a DNAT for packets to any address of this host, in prerouting and, for the host's own processes,
in output; 127.0.0.1 too, which needs `route_localnet` on the bridges and the host's address as source. So that
`route_localnet` opens nothing, packets for 127/8 that come from a bridge are dropped before anything else sees them.
Forwarding into a bridge takes answers, published ports and the bridge's own traffic; other networks, and whoever routes
to a container's address from outside, are dropped (as Docker 28 does).

As soon as a network has IPv6, a table of the same name stands in the family `ip6`, with the same rules but those for
127/8: the kernel has no `route_localnet` for ::1, whose ports processes serve (`proxies`).

An accept here does not undo a drop in another table: beside a dockerd (whose FORWARD chain drops) nothing is forwarded
until the administrator lets the bridge pass; `blockers` tells.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .model import EVERY_ADDRESS, EVERY_ADDRESS_6, Network, Published
from .nft import Nft, NftError

EARLY = """
  chain early {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
    iifname @bridges ip saddr 127.0.0.0/8 drop
  }
"""
CHAINS = """
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
    iifname . oifname @apart ct status dnat accept
    iifname . oifname @apart drop
    iifname . oifname @same accept
    iifname @internal drop
    oifname @internal drop
    ct status dnat accept
    drop
  }
"""
IP, IP6 = "ip", "ip6"
RULES = {
    IP: EARLY + CHAINS,
    IP6: CHAINS.replace("    ip saddr 127.0.0.0/8 masquerade\n", "")
    .replace("ip saddr", "ip6 saddr")
    .replace("ip daddr", "ip6 daddr"),
}
ADDRESS = {IP: "ipv4_addr", IP6: "ipv6_addr"}
SETS = {
    "bridges": "set bridges { type ifname; %s}",
    "internal": "set internal { type ifname; %s}",
    "apart": "set apart { type ifname . ifname; %s}",
    "same": "set same { type ifname . ifname; %s}",
    "outward": "set outward { type ADDRESS; flags interval; %s}",
    "ports": "map ports { type inet_proto . inet_service : ADDRESS . inet_service; %s}",
    "bound": "map bound { type ADDRESS . inet_proto . inet_service : ADDRESS . inet_service; %s}",
}
Elements = dict[tuple[str, str], list[str]]
"""The elements of a set, by family and name."""


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
        self._ports = {port for port in ports if not port.by_process}
        self._write()
        self._drop_unused()

    def _drop_unused(self) -> None:
        """Remove the table of IPv6 when no network needs it; a kernel without IPv6 has none."""
        if IP6 not in self._families():
            with suppress(NftError):
                self._nft.run(_removal(IP6, self.table))

    def _families(self) -> list[str]:
        return [IP, IP6] if any(network.six for network in self._networks.values()) else [IP]

    def _write(self) -> None:
        elements = _together((*map(_of_network, self._networks.values()), *map(_of_port, self._ports)))
        self._nft.run("".join(self._text(family, elements) for family in self._families()))

    def _text(self, family: str, elements: Elements) -> str:
        sets = "".join(
            f"  {text.replace('ADDRESS', ADDRESS[family]) % _initial(elements.get((family, name), []))}\n"
            for name, text in SETS.items()
        )
        return f"{_removal(family, self.table)}table {family} {self.table} {{\n{sets}{RULES[family]}}}\n"

    def add_network(self, network: Network) -> None:
        """Let a network's rules hold."""
        self._networks[network.id] = network
        self._apply("add", [_of_network(network)])

    def remove_network(self, network: Network) -> None:
        """Take a network's rules away."""
        if self._networks.pop(network.id, None):
            self._apply("delete", [_of_network(network)])
            if network.six:
                self._drop_unused()

    def publish(self, ports: Iterable[Published]) -> None:
        """Publish ports, all in one transaction."""
        added = [port for port in ports if port not in self._ports and not port.by_process]
        self._ports.update(added)
        self._apply("add", [_of_port(port) for port in added])

    def withdraw(self, ports: Iterable[Published]) -> None:
        """Withdraw published ports, all in one transaction."""
        gone = [port for port in ports if port in self._ports]
        self._ports.difference_update(gone)
        self._apply("delete", [_of_port(port) for port in gone])

    def _apply(self, verb: str, parts: list[Elements]) -> None:
        """Change elements; when the table is not as we left it (somebody flushed it), write it anew."""
        elements = _together(parts)
        if not elements:
            return
        if verb == "delete":
            elements = {key: [value.partition(" : ")[0] for value in values] for key, values in elements.items()}
        command = "".join(
            f"{verb} element {family} {self.table} {name} {{ {', '.join(values)} }}\n"
            for (family, name), values in elements.items()
        )
        try:
            self._nft.run(command)
        except NftError:
            self._write()

    def intact(self) -> bool:
        """Say whether the table still has all its rules; costs a listing, for reconcile and not for every start."""
        return all(self._whole(family) for family in self._families())

    def _whole(self, family: str) -> bool:
        try:
            listed = self._nft.query(f"list table {family} {self.table}")
        except NftError:
            return False
        return sum("rule" in item for item in listed) == _count(RULES[family])

    def blockers(self) -> list[str]:
        """Return the forward chains of others, as `family table chain`, whose policy drops what we accept."""
        chains = [item["chain"] for item in self._nft.query("list chains") if "chain" in item]
        return [f"{chain['family']} {chain['table']} {chain['name']}" for chain in chains if _drops(chain)]

    def destroy(self) -> None:
        """Remove the table."""
        self._nft.run("".join(_removal(family, self.table) for family in self._families()))

    def close(self) -> None:
        """Free the context; the table stays, and with it what is published."""
        self._nft.close()


def _removal(family: str, table: str) -> str:
    # What is added first can be deleted, whether it was there or not.
    return f"add table {family} {table}\ndelete table {family} {table}\n"


def _count(text: str) -> int:
    lines = [line.strip() for line in text.strip().splitlines()]
    return sum(bool(line) and not line.startswith(("chain ", "type ", "}")) for line in lines)


def _together(parts: Iterable[Elements]) -> Elements:
    elements: Elements = {}
    for part in parts:
        for key, values in part.items():
            elements.setdefault(key, []).extend(values)
    return elements


def _initial(elements: list[str]) -> str:
    return f"elements = {{ {', '.join(elements)} }}; " if elements else ""


def _drops(chain: dict[str, Any]) -> bool:
    return chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["family"] in ("ip", "inet")


def _of_network(network: Network) -> Elements:
    elements: Elements = {}
    for family, subnet in ((IP, network.subnet), (IP6, network.six.subnet if network.six else "")):
        if not subnet:
            continue
        elements[family, "bridges"] = [f'"{network.link}"']
        elements[family, "same"] = [f'"{network.link}" . "{network.link}"']
        if network.apart:
            elements[family, "apart"] = [f'"{network.link}" . "{network.link}"']
        if network.internal:
            elements[family, "internal"] = [f'"{network.link}"']
        if network.masquerade:
            elements[family, "outward"] = [subnet]
    return elements


def _of_port(port: Published) -> Elements:
    family = IP6 if ":" in port.host_ip else IP
    target = f"{port.proto} . {port.host_port} : {port.address} . {port.port}"
    if port.host_ip in (EVERY_ADDRESS, EVERY_ADDRESS_6):
        return {(family, "ports"): [target]}
    return {(family, "bound"): [f"{port.host_ip} . {target}"]}
