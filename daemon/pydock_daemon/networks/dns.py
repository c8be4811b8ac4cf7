"""A container's /etc/resolv.conf, made from the host's and from what was asked for.

Used by `service`. The rules are Docker's: a name server on the host's loopback cannot be reached from a container's
network namespace and is left out; when none remains, those of systemd-resolved's own list are taken, then public ones.
"""

import ipaddress
from collections.abc import Sequence
from pathlib import Path

HOST_FILE = Path("/etc/resolv.conf")
RESOLVED_FILE = Path("/run/systemd/resolve/resolv.conf")
ADDRESS = "127.0.0.11"
"""Where the name server of a container on user-defined networks is, inside it."""
FALLBACK = ("8.8.8.8", "8.8.4.4")
"""What Docker writes when the host has no name server that a container can reach."""


def resolv_conf(
    servers: Sequence[str],
    search: Sequence[str],
    options: Sequence[str],
    *,
    host: str,
    keep_loopback: bool = False,
    own: bool = False,
) -> str:
    """Return the text of resolv.conf; what is given wins over the host's text, entry by entry.

    `search` of `.` alone means no search domain. `keep_loopback` is for containers in the host's own network, `own` for
    those with a name server of ours, which asks the others.
    """
    found = _entries(host)
    if own:
        found["nameserver"] = [ADDRESS]
    elif servers:
        found["nameserver"] = list(servers)
    elif not keep_loopback:
        found["nameserver"] = [server for server in found["nameserver"] if reachable(server)] or list(FALLBACK)
    if search:
        found["search"] = [] if list(search) == ["."] else list(search)
    found["options"] = list(options) or found["options"]
    if own and not any(option.startswith("ndots:") for option in found["options"]):
        # Ours knows names without a dot, so they are asked as they are.
        found["options"].append("ndots:0")
    lines = [f"nameserver {server}" for server in found["nameserver"]]
    lines += [f"{word} {' '.join(found[word])}" for word in ("search", "options") if found[word]]
    return "".join(f"{line}\n" for line in lines)


def _entries(host: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for line in host.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if not words:
            continue
        if words[0] == "nameserver":
            found["nameserver"] += words[1:2]
        elif words[0] in ("search", "domain"):
            found["search"] = words[1:]
        elif words[0] == "options":
            found["options"] = words[1:]
    return found


def ndots(options: Sequence[str], host: str) -> bool:
    """Say whether options, or else the host's, ask that names with few dots go through the search list first."""
    asked = [option.removeprefix("ndots:") for option in options or _entries(host)["options"]]
    return any(value.isdecimal() and int(value) > 0 for value in asked)


def host_servers() -> list[str]:
    """Return the host's name servers as the host itself asks them."""
    return _entries(_read(HOST_FILE))["nameserver"] or list(FALLBACK)


def reachable(server: str) -> bool:
    """Say whether a container with an IPv4 address of its own can reach a name server."""
    try:
        address = ipaddress.ip_address(server.partition("%")[0])
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback and not address.is_unspecified


def host_text() -> str:
    """Return the host's resolv.conf, or systemd-resolved's list when the first names only its local stub."""
    text = _read(HOST_FILE)
    servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ") and line.split()[1:]]
    return _read(RESOLVED_FILE) or text if servers == ["127.0.0.53"] else text


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
