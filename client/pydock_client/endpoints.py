"""The syntax of `--network`, and the endpoints a container is created with. Used by flags.py and create.py.

`--network NAME` or `--network name=NAME,alias=a,ip=1.2.3.4,...`; the single flags (`--ip`, `--network-alias`, ...)
speak of the first network. The words of errors are those of the docker command line.
"""

from __future__ import annotations

from pydock_shared.errors import InvalidArgument
from pydock_shared.mounts import split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .flags import Options

_FIELDS = {
    "name": "target",
    "alias": "aliases",
    "ip": "ip",
    "ip6": "ip6",
    "mac-address": "mac",
    "link-local-ip": "link_local",
    "driver-opt": "driver_options",
    "gw-priority": "priority",
}
_MANY = ("aliases", "link_local", "driver_options")


def parse_network(text: str) -> dict[str, Any]:
    """Return what a `--network` value asks for: `target`, and what of aliases, addresses and options is given."""
    if "=" not in text:
        return {"target": text}
    found: dict[str, Any] = {}
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals:
            raise ValueError(f"invalid field {field}")
        if key not in _FIELDS:
            raise ValueError(f"invalid field key {key}")
        name = _FIELDS[key]
        if name == "driver_options":
            found.setdefault(name, {}).update([_driver_option(value)])
        elif name in _MANY:
            found.setdefault(name, []).append(value)
        elif name == "priority":
            found[name] = _priority(value)
        else:
            found[name] = value
    if not found.get("target"):
        raise ValueError("network name/id is not specified")
    return found


def _driver_option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise ValueError("invalid key value pair format in driver options")
    return key.strip().lower(), value.strip()


def _priority(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"invalid gw-priority ({text}): invalid syntax") from None


def endpoints(options: Options, mode: str) -> dict[str, dict[str, Any]]:
    """Return NetworkingConfig.EndpointsConfig; InvalidArgument when flags contradict one another."""
    networks: list[dict[str, Any]] = [dict(network) for network in options["network"]] or [{"target": "default"}]
    _check_modes(networks)
    _spread(options, networks[0], mode)
    made: dict[str, dict[str, Any]] = {}
    for network in networks:
        target = network["target"]
        if target in made:
            raise InvalidArgument(f"network {target!r} is specified multiple times")
        if not user_defined(target) and network.get("aliases"):
            raise InvalidArgument("network-scoped aliases are only supported for user-defined networks")
        endpoint = _endpoint(network)
        if endpoint or len(networks) > 1:
            made[target] = endpoint
    return made


def user_defined(mode: str) -> bool:
    """Say whether a network mode is the name of a network a person made (or could have made)."""
    return mode not in ("default", "bridge", "host", "none", "") and not mode.startswith("container:")


def _check_modes(networks: list[dict[str, Any]]) -> None:
    if len(networks) > 1 and not all(user_defined(network["target"]) for network in networks):
        raise InvalidArgument("conflicting options: cannot attach both user-defined and non-user-defined network-modes")


# Flag, field of a network, the words of the conflict when both speak
_SINGLE = (
    ("network-alias", "aliases", "--network-alias and per-network alias"),
    ("link-local-ip", "link_local", "--link-local-ip and per-network link-local IP addresses"),
    ("ip", "ip", "--ip and per-network IPv4 address"),
    ("ip6", "ip6", "--ip6 and per-network IPv6 address"),
    ("mac-address", "mac", "--mac-address and per-network MAC address"),
)


def _spread(options: Options, first: dict[str, Any], mode: str) -> None:
    """Give the first network what the single flags say."""
    for flag, field, words in _SINGLE:
        value = options[flag]
        if not value:
            continue
        if first.get(field):
            raise InvalidArgument(f"conflicting options: cannot specify both {words}")
        first[field] = value
    if options["link"] and user_defined(mode):
        first["links"] = options["link"]


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    addresses = {"IPv4Address": network.get("ip"), "IPv6Address": network.get("ip6")}
    addresses["LinkLocalIPs"] = network.get("link_local")
    found = {key: value for key, value in addresses.items() if value}
    if found:
        made["IPAMConfig"] = found
    fields = {
        "Links": network.get("links"),
        "Aliases": network.get("aliases"),
        "MacAddress": network.get("mac"),
        "DriverOpts": network.get("driver_options"),
        "GwPriority": network.get("priority"),
    }
    return made | {key: value for key, value in fields.items() if value}
