"""Which fields an answer has in which version of the API: rows of a table, applied by the handlers.

Source: Docker's "Engine API version history". Answers are made in their newest form with every field that ever was;
a field that a version does not have is taken out, one that only older versions have is put in.
"""

from typing import Any, NamedTuple

from .versions import NEWEST, OLDEST

BEYOND = (NEWEST[0], NEWEST[1] + 1)


class Field(NamedTuple):
    """A field by its path, `*` for every element: there from `since` on, and not any more from `gone` on."""

    path: str
    since: tuple[int, int] = OLDEST
    gone: tuple[int, int] = BEYOND
    empty: bool = False
    """It goes only when it says nothing."""


_DEFAULT_NETWORK = (
    *("Bridge", "HairpinMode", "LinkLocalIPv6Address", "LinkLocalIPv6PrefixLen", "SecondaryIPAddresses"),
    *("SecondaryIPv6Addresses", "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress"),
    *("IPPrefixLen", "IPv6Gateway", "MacAddress"),
)
_ENDPOINT = (
    Field("NetworkSettings.Networks.*.DNSNames", since=(1, 44)),
    Field("NetworkSettings.Networks.*.GwPriority", since=(1, 48)),
)
CONTAINER = (
    *(Field(f"NetworkSettings.{name}", gone=(1, 52)) for name in _DEFAULT_NETWORK),
    *_ENDPOINT,
    Field("ImageManifestDescriptor", since=(1, 48)),
    Field("HostConfig.Annotations", since=(1, 43)),
    Field("HostConfig.KernelMemoryTCP", gone=(1, 52)),
    Field("Config.OnBuild", gone=(1, 52), empty=True),
)
LISTED_CONTAINER = (
    *_ENDPOINT,
    Field("ImageManifestDescriptor", since=(1, 48)),
    Field("Health", since=(1, 52)),
    Field("HostConfig.Annotations", since=(1, 46)),
)
NETWORK = (Field("EnableIPv4", since=(1, 48)),)
IMAGE = (
    *(Field(name, gone=(1, 52), empty=True) for name in ("Parent", "Comment", "DockerVersion", "Author")),
    Field("Descriptor", since=(1, 48)),
)
LISTED_IMAGE = (Field("Descriptor", since=(1, 48)),)
INFO = (
    Field("CDISpecDirs", since=(1, 44)),
    Field("Runtimes.*.status", since=(1, 44)),
    Field("FirewallBackend", since=(1, 49)),
    Field("DiscoveredDevices", since=(1, 50)),
    Field("KernelMemoryTCP", gone=(1, 52)),
    *(Field(f"{name}Commit.Expected", gone=(1, 49)) for name in ("Containerd", "Runc", "Init")),
    *(Field(name, gone=(1, 50)) for name in ("BridgeNfIptables", "BridgeNfIp6tables")),
    *(Field(f"RegistryConfig.AllowNondistributableArtifacts{kind}", gone=(1, 49)) for kind in ("CIDRs", "Hostnames")),
)


def shaped(answer: dict[str, Any], fields: tuple[Field, ...], version: tuple[int, int]) -> dict[str, Any]:
    """Return an answer without what a version does not have. What is changed is copied: parts of answers are shared."""
    for field in fields:
        if not field.since <= version < field.gone:
            answer = _without(answer, field.path.split("."), when_empty=field.empty)
    return answer


def _without(value: Any, path: list[str], *, when_empty: bool) -> Any:
    step, *rest = path
    if not isinstance(value, dict):
        return value
    if not rest:
        stays = step not in value or (when_empty and value[step])
        return value if stays else {key: inner for key, inner in value.items() if key != step}
    keys = list(value) if step == "*" else [step] if step in value else []
    return {**value, **{key: _without(value[key], rest, when_empty=when_empty) for key in keys}}


def with_old_aliases(answer: dict[str, Any], version: tuple[int, int]) -> dict[str, Any]:
    """Return a container with its short id among the aliases in user-defined networks, as before DNSNames came."""
    if version >= (1, 45):
        return answer
    networks = {}
    for name, endpoint in answer["NetworkSettings"]["Networks"].items():
        given = [*(endpoint.get("Aliases") or ()), answer["Id"][:12]]
        own = {} if name in ("bridge", "host", "none") else {"Aliases": list(dict.fromkeys(given))}
        networks[name] = {**endpoint, **own}
    return {**answer, "NetworkSettings": {**answer["NetworkSettings"], "Networks": networks}}
