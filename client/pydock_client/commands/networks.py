"""Commands on networks: ls, create, rm, connect, disconnect."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import ADDRESSES, BOOL, FILTER, INT, MAP, STRING, STRINGS, Flag
from pydock_client.format import Listing, label, labels, short
from pydock_client.options import LABEL, LINK
from pydock_client.values import pairs
from pydock_shared import filters
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

from .ps import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_client.flags import Options

LISTING = Listing(
    "networkContext",
    ("ID", "Name", "Driver", "Scope"),
    {
        "ID": ("NETWORK ID", lambda item: short(item.data["Id"], truncate=item.truncate)),
        "Name": ("NAME", lambda item: item.data["Name"]),
        "Driver": ("DRIVER", lambda item: item.data["Driver"]),
        "Scope": ("SCOPE", lambda item: item.data["Scope"]),
        "IPv4": ("IPV4", lambda item: str(item.data.get("EnableIPv4", False)).lower()),
        "IPv6": ("IPV6", lambda item: str(item.data["EnableIPv6"]).lower()),
        "Internal": ("INTERNAL", lambda item: str(item.data["Internal"]).lower()),
        "Labels": ("LABELS", labels),
        "Label": ("LABEL", label),
        "CreatedAt": ("CREATED AT", lambda item: _created(item.data["Created"])),
    },
)


def _created(text: str) -> str:
    """Go's own form of a time: `2006-01-02 15:04:05.999999999 +0000 UTC`."""
    return text.replace("T", " ").replace("Z", " +0000 UTC")


def _ls(call: Call) -> None:
    options = call.options
    wanted = filters.from_flags(options["filter"])
    found = call.daemon.call("GET", "/networks", {"filters": wanted.encode() if wanted else ""})
    found.sort(key=lambda network: network["Name"])
    truncate = not options["no-trunc"]
    if options["quiet"] and options["format"] in ("", "table"):
        for network in found:
            print(short(network["Id"], truncate=truncate))
        return
    form = options["format"] or ("" if options["quiet"] else call.settings.config.get("networksFormat", ""))
    LISTING.show(found, form, truncate=truncate)


def _create(call: Call) -> None:
    options, (name,) = call.options, call.arguments
    body: dict[str, Any] = {
        "Name": name,
        "Driver": options["driver"],
        "Options": pairs(options["opt"]),
        "IPAM": {
            "Driver": options["ipam-driver"],
            "Options": pairs(options["ipam-opt"]),
            "Config": _ipam(options),
        },
        "Internal": options["internal"],
        "Attachable": options["attachable"],
        "Ingress": options["ingress"],
        "Scope": options["scope"],
        "ConfigOnly": options["config-only"],
        "Labels": pairs(options["label"]),
    }
    if options["config-from"]:
        body["ConfigFrom"] = {"Network": options["config-from"]}
    for flag, field in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if flag in options.given:
            body[field] = options[flag]
    created = call.daemon.call("POST", "/networks/create", None, body)
    if created.get("Warning"):
        print(f"WARNING: {created['Warning']}", file=sys.stderr)
    print(created["Id"])


def _ipam(options: Options) -> list[dict[str, Any]]:
    """One pool for each subnet, with the range, gateway and reserved addresses that lie in it."""
    subnets: list[str] = options["subnet"]
    if len(subnets) < max(len(options["ip-range"]), len(options["gateway"])):
        raise InvalidArgument("every ip-range or gateway must have a corresponding subnet")
    pools: list[dict[str, Any]] = [{"Subnet": text} for text in subnets]
    networks = _subnets(subnets)
    if networks is None:
        return pools  # the daemon says what is wrong with a subnet
    for flag, field, what in (("ip-range", "IPRange", "range"), ("gateway", "Gateway", "gateway")):
        for value in options[flag]:
            pool = pools[_place(_parsed(value, field), networks, f"{what} {value}")]
            if field in pool:
                both = f"({value}, {pool[field]}) on the same subnet ({pool['Subnet']})"
                raise InvalidArgument(f"cannot configure multiple {what}s {both}")
            pool[field] = value
    for name, value in pairs(options["aux-address"]).items():
        pool = pools[_place(_parsed(value, "AuxAddress"), networks, f"aux-address {value}")]
        pool.setdefault("AuxiliaryAddresses", {})[name] = value
    return pools


def _subnets(texts: list[str]) -> list[Any] | None:
    """Return the networks that texts stand for, None when one is malformed; none may overlap another."""
    from ipaddress import ip_network

    try:
        networks = [ip_network(text, strict=False) for text in texts]
    except ValueError:
        return None
    for at, network in enumerate(networks):
        if any(network.version == other.version and network.overlaps(other) for other in networks[:at]):
            raise InvalidArgument("multiple overlapping subnet configuration is not supported")
    return networks


def _place(inner: Any, networks: list[Any], what: str) -> int:
    """Return the position of the network that an address or a range lies in."""
    for at, network in enumerate(networks):
        if _within(inner, network):
            return at
    raise InvalidArgument(f"no matching subnet for {what}")


def _parsed(text: str, field: str) -> Any:
    from ipaddress import ip_address, ip_network

    try:
        return ip_network(text, strict=False) if field == "IPRange" else ip_address(text)
    except ValueError:
        raise InvalidArgument(f"invalid string being converted to CIDR: {text}") from None


def _within(inner: Any, network: Any) -> bool:
    if inner.version != network.version:
        return False
    return bool(inner.subnet_of(network)) if hasattr(inner, "subnet_of") else inner in network


def _rm(call: Call) -> None:
    failed = False
    for name in call.arguments:
        try:
            call.daemon.call("DELETE", f"/networks/{name}")
        except PydockError as error:
            if call.options["force"] and isinstance(error, NotFound):
                continue
            print(error.message, file=sys.stderr)
            failed = True
        else:
            print(name)
    if failed:
        raise Failure("exit status 1")


def _connect(call: Call) -> None:
    options, (network, container) = call.options, call.arguments
    endpoint: dict[str, Any] = {}
    addresses = {"IPv4Address": options["ip"], "IPv6Address": options["ip6"], "LinkLocalIPs": options["link-local-ip"]}
    given = {key: value for key, value in addresses.items() if value}
    if given:
        endpoint["IPAMConfig"] = given
    driver = {}
    for text in options["driver-opt"]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidArgument("invalid key/value pair format in driver options")
        driver[key] = value
    fields = {
        "Links": options["link"],
        "Aliases": options["alias"],
        "DriverOpts": driver,
        "GwPriority": options["gw-priority"],
    }
    endpoint |= {key: value for key, value in fields.items() if value}
    body = {"Container": container, "EndpointConfig": endpoint}
    call.daemon.call("POST", f"/networks/{network}/connect", None, body)


def _disconnect(call: Call) -> None:
    network, container = call.arguments
    body = {"Container": container, "Force": call.options["force"]}
    call.daemon.call("POST", f"/networks/{network}/disconnect", None, body)


LS = Command(
    _ls,
    "[OPTIONS]",
    flags=(
        Flag("-f --filter", FILTER, 'Provide filter values (e.g. "driver=bridge")'),
        Flag("--format", STRING, FORMAT_HELP),
        Flag("--no-trunc", BOOL, "Do not truncate the output"),
        Flag("-q --quiet", BOOL, "Only display network IDs"),
    ),
)
CREATE = Command(
    _create,
    "[OPTIONS] NETWORK",
    arguments=(1, 1),
    flags=(
        Flag("--attachable", BOOL, "Enable manual container attachment"),
        Flag("--aux-address", MAP, "Auxiliary IPv4 or IPv6 addresses that the driver keeps to itself"),
        Flag("--config-from", STRING, "The network from which to copy the configuration"),
        Flag("--config-only", BOOL, "Create a network that is only a configuration"),
        Flag("-d --driver", STRING, "Driver of the network", default="bridge"),
        Flag("--gateway", ADDRESSES, "IPv4 or IPv6 gateway of the subnet"),
        Flag("--ingress", BOOL, "Create a swarm routing-mesh network"),
        Flag("--internal", BOOL, "Restrict external access to the network"),
        Flag("--ip-range", STRINGS, "Allocate addresses of containers from this range"),
        Flag("--ipam-driver", STRING, "Driver of address management", default="default"),
        Flag("--ipam-opt", MAP, "Options of the driver of address management"),
        Flag("--ipv4", BOOL, "Enable or disable IPv4 address assignment", default=True),
        Flag("--ipv6", BOOL, "Enable or disable IPv6 address assignment"),
        Flag("--label", LABEL, "Set metadata of the network"),
        Flag("-o --opt", MAP, "Options of the driver"),
        Flag("--scope", STRING, "Scope of the network"),
        Flag("--subnet", STRINGS, "Subnet in CIDR format"),
    ),
)
RM = Command(
    _rm,
    "NETWORK [NETWORK...]",
    arguments=(1, None),
    flags=(Flag("-f --force", BOOL, "Do not error if the network does not exist"),),
)
CONNECT = Command(
    _connect,
    "[OPTIONS] NETWORK CONTAINER",
    arguments=(2, 2),
    flags=(
        Flag("--alias", STRINGS, "Add an alias of the container in the network"),
        Flag("--driver-opt", STRINGS, "Driver options of the endpoint"),
        Flag("--gw-priority", INT, "The network with the highest priority gives the default gateway"),
        Flag("--ip", STRING, 'IPv4 address (e.g., "172.30.100.104")'),
        Flag("--ip6", STRING, 'IPv6 address (e.g., "2001:db8::33")'),
        Flag("--link", LINK, "Add a link to another container"),
        Flag("--link-local-ip", STRINGS, "Add a link-local address of the container"),
    ),
)
DISCONNECT = Command(
    _disconnect,
    "[OPTIONS] NETWORK CONTAINER",
    arguments=(2, 2),
    flags=(Flag("-f --force", BOOL, "Force the container to disconnect from the network"),),
)
