"""Containers of users who are not root: what the kernel leaves to them, and what is refused. Used by launch and others.

In the user namespace that they make they have every right over what is theirs. Only the host's own programs,
newuidmap(1) and newgidmap(1), can map more than their own ids. The rules, and the words of errors, are runc's.
"""

from __future__ import annotations

import os

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.namespaces import Plan

OWNERS = (("uid=", "uidMappings"), ("gid=", "gidMappings"))
"""Options of mounts that name an id, and the map that it must be in."""


def unprivileged() -> bool:
    """Say whether whoever calls is not root: of the host, or of the user namespace that this is in."""
    return os.geteuid() != 0


def in_users() -> bool:
    """Say whether this process is in a user namespace that is not the host's own: its map is not the identity."""
    return _own("uid_map") != ["0", "0", "4294967295"]


def limited() -> bool:
    """Say whether namespaces that are the host's are out of reach, even those that one is in."""
    return unprivileged() or in_users()


def groupless() -> bool:
    """Say whether groups cannot be set: by who is not root, and where the kernel denies it, user_namespaces(7)."""
    return unprivileged() or _own("setgroups") == ["deny"]


def _own(name: str) -> list[str]:
    """Return the words of a file about this process's users, read once."""
    if name not in _read:
        with open(f"/proc/self/{name}") as file:
            _read[name] = file.read().split()
    return _read[name]


_read: dict[str, list[str]] = {}


def without_cgroup(word: str) -> bool:
    """Say whether a container may go without a cgroup that cannot be made; `word` is the option --rootless."""
    if word in ("true", "false"):
        return word == "true"
    return limited()


def default_root(root: str) -> str:
    """Return the folder of the states of a user's containers, `root` is root's; basedir-spec, $XDG_RUNTIME_DIR."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    if not own or not (unprivileged() or (in_users() and os.environ.get("USER", "") != "root")):
        return root
    return f"{own}/{os.path.basename(root)}"


def check(spec: dict[str, Any], plan: Plan) -> None:
    """Raise RuntimeFailure for what a user who is not root cannot have."""
    if not unprivileged():
        return
    part = spec.get("linux", {})
    if not plan.user:
        raise RuntimeFailure("rootless container requires user namespaces", INVALID)
    if part.get("netDevices"):
        raise RuntimeFailure("network devices are not supported for rootless containers", INVALID)
    for mount in spec.get("mounts") or ():
        for option in mount.get("options") or ():
            for start, key in OWNERS if plan.owns("user") else ():
                if option.startswith(start) and not _is_mapped(part[key], option.removeprefix(start)):
                    word = start.rstrip("=")
                    why = f"cannot specify {start} mount options for unmapped {word} in rootless containers"
                    raise RuntimeFailure(why, INVALID)


def check_groups(process: dict[str, Any]) -> None:
    """Raise RuntimeFailure for groups of a process that a user who is not root cannot give it."""
    if unprivileged() and (process.get("user") or {}).get("additionalGids"):
        raise RuntimeFailure("cannot set any additional groups in a rootless container", INVALID)


def _is_mapped(ranges: list[dict[str, Any]], text: str) -> bool:
    return text.isdigit() and any(0 <= int(text) - entry["containerID"] < entry["size"] for entry in ranges)
