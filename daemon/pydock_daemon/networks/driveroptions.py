"""DriverOpts of an endpoint: kernel parameters of its interface, and the interface's name. Used by `endpoints`.

The rules and words are those of dockerd 28. What Docker means for other drivers is refused by name; what somebody else
has named is kept for him, as dockerd keeps it.
"""

import re
from typing import NamedTuple

from pydock_shared.errors import NotSupported

SYSCTLS = "com.docker.network.endpoint.sysctls"
DOCKERS = "com.docker.network."
INTERFACE = "com.docker.network.endpoint.ifname"
PARAMETER = re.compile(r"net\.(?:ipv4|ipv6|mpls)\.[a-z0-9_-]+\.(?:IFNAME|ifname)\.[a-zA-Z0-9_-]+")
"""The docker command line makes small letters of IFNAME."""
NAME = re.compile(r"(?!\.{1,2}$)[^\s/:%\0]{1,15}")
Pairs = tuple[tuple[str, str], ...]


class Options(NamedTuple):
    """What is asked of the interface: nothing of its name, or a name; parameters with IFNAME in theirs."""

    interface: str
    sysctls: Pairs


def read(given: dict[str, str], problems: list[str]) -> Options:
    """Return what the options ask for, and add to the problems what they cannot; NotSupported for unknown ones."""
    unknown = sorted(name for name in set(given) - {SYSCTLS, INTERFACE} if name.startswith(DOCKERS))
    if unknown:
        raise NotSupported(f"EndpointSettings.DriverOpts: {unknown[0]} is not supported")
    sysctls = []
    for text in given.get(SYSCTLS, "").split(",") if given.get(SYSCTLS) else ():
        name, equals, value = text.strip().partition("=")
        if not PARAMETER.fullmatch(name):
            problems.append(
                f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as "
                "'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        elif not equals:
            problems.append(f"expected sysctl '{text}' to have format name=value")
        sysctls.append((name, value))
    interface = given.get(INTERFACE, "")
    if interface and (interface == "lo" or not NAME.fullmatch(interface)):
        problems.append(f"invalid interface name: {interface!r}")
    return Options(interface, tuple(sysctls))
