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
    Field("Config.MacAddress", gone=(1, 52)),
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
LISTED_IMAGE = (
    Field("Descriptor", since=(1, 48)),
    Field("VirtualSize", gone=(1, 44)),
)
INFO = (
    Field("CDISpecDirs", since=(1, 44)),
    Field("Runtimes.*.status", since=(1, 44)),
    Field("FirewallBackend", since=(1, 49)),
    Field("DiscoveredDevices", since=(1, 50)),
    Field("KernelMemoryTCP", gone=(1, 52)),
    Field("KernelMemory", gone=(1, 42)),
    Field("ExecutionDriver", gone=(1, 25)),
    Field("DefaultAddressPools", gone=OLDEST, empty=True),
    *(Field(f"{name}Commit.Expected", gone=(1, 49)) for name in ("Containerd", "Runc", "Init")),
    *(Field(name, gone=(1, 50)) for name in ("BridgeNfIptables", "BridgeNfIp6tables")),
    *(Field(f"RegistryConfig.AllowNondistributableArtifacts{kind}", gone=(1, 49)) for kind in ("CIDRs", "Hostnames")),
)


Absent = dict[str, "Absent | bool"]
"""Steps of paths, down to whether a field goes in any case or only when it says nothing."""
_ABSENT: dict[tuple[int, tuple[int, int]], Absent] = {}
"""By table, which are all of this module's life, and version."""


def shaped(answer: dict[str, Any], fields: tuple[Field, ...], version: tuple[int, int]) -> dict[str, Any]:
    """Return an answer without what a version does not have. What is changed is copied: parts of answers are shared."""
    absent = _ABSENT.get((id(fields), version))
    if absent is None:
        absent = _ABSENT[id(fields), version] = _absent(fields, version)
    return _without(answer, absent) if absent else answer


def _absent(fields: tuple[Field, ...], version: tuple[int, int]) -> Absent:
    found: Absent = {}
    for field in fields:
        if not field.since <= version < field.gone:
            *path, last = field.path.split(".")
            place = found
            for step in path:
                inner = place.setdefault(step, {})
                assert isinstance(inner, dict), f"{field.path} is below a field that goes"
                place = inner
            place[last] = not field.empty
    return found


def _without(value: dict[str, Any], absent: Absent) -> dict[str, Any]:
    result = dict(value)
    for step, inner in absent.items():
        for key in value if step == "*" else (step,):
            found = result.get(key)
            if inner is True or (inner is False and not found):
                result.pop(key, None)
            elif isinstance(inner, dict) and isinstance(found, dict):
                result[key] = _without(found, inner)
    return result


def listed_images(found: list[dict[str, Any]], version: tuple[int, int]) -> list[dict[str, Any]]:
    """Return images of a list as a version has them."""
    shown = [shaped({**image, "VirtualSize": image["Size"]}, LISTED_IMAGE, version) for image in found]
    if version < (1, 43):
        for image in shown:
            if not image["RepoTags"] and not image["RepoDigests"]:
                image |= {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}
    return shown


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
