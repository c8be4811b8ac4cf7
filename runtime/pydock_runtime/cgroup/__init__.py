"""Control groups by the cgroup file system: one object for a container, whatever the host mounts (v1, hybrid or v2).

Used by the supervisor and the verbs. The holder of a Cgroup removes it.
"""

from __future__ import annotations

import contextlib
import errno

from pydock_runtime.cgroup import absent, layout, v1, v2
from pydock_runtime.cgroup.layout import Layout
from pydock_runtime.errors import INVALID, RuntimeFailure, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Cgroup = v1.Cgroup | v2.Cgroup | absent.Cgroup

__all__ = ["Cgroup", "Layout", "create", "limit", "none", "open_existing"]

NOT_TAKEN = (errno.EINVAL, errno.ERANGE, errno.EOPNOTSUPP, errno.ENODEV)
"""What the kernel says of a value, or of a device, that it cannot limit."""


# What every container may use, after the rules of its spec, as runc has it: making any node, and using the devices that
# the runtime-spec requires to be there, with terminals.
DEFAULT_DEVICES: list[dict[str, Any]] = [
    {"allow": True, "type": type_, "major": major, "minor": minor, "access": access}
    for type_, major, minor, access in (
        ("c", None, None, "m"),
        ("b", None, None, "m"),
        ("c", 1, 3, "rwm"),
        ("c", 1, 5, "rwm"),
        ("c", 1, 7, "rwm"),
        ("c", 1, 8, "rwm"),
        ("c", 1, 9, "rwm"),
        ("c", 5, 0, "rwm"),
        ("c", 5, 2, "rwm"),
        ("c", 136, None, "rwm"),
    )
]


def create(path: str, resources: dict[str, Any]) -> Cgroup:
    """Make the cgroup at a path below the root of the hierarchies, with limits; a failure leaves nothing behind.

    Raises OSError, and RuntimeFailure for a limit that the kernel does not take.
    """
    group = open_existing(path)
    devices = resources.get("devices")
    if devices:
        missing = [rule for rule in DEFAULT_DEVICES if rule not in devices]
        resources = {**resources, "devices": [*devices, *missing]}
    try:
        group.make()
        limit(group, resources)
    except (OSError, RuntimeFailure):
        with contextlib.suppress(OSError):  # in a scope of systemd there is somebody already
            group.remove()
        raise
    return group


def limit(group: Cgroup, resources: dict[str, Any]) -> None:
    """Set limits. Raises OSError, and RuntimeFailure for one that the kernel does not take."""
    try:
        group.update(resources)
    except OSError as error:
        if error.errno in NOT_TAKEN:
            raise RuntimeFailure(text(error), INVALID) from error
        raise


def none(pid: int = 0) -> Cgroup:
    """Return what a container has instead of a cgroup that it may not have; `pid` is its init's."""
    return absent.Cgroup(layout.of_host(), pid)


def open_existing(path: str) -> Cgroup:
    """Return the cgroup at a path that was made before."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise OSError(errno.EINVAL, "not an absolute cgroup path", path)
    host = layout.of_host()
    if host.hierarchies:
        return v1.Cgroup(path, host)
    if host.unified is None:
        raise OSError(errno.ENODEV, "no cgroup hierarchy is mounted", path)
    return v2.Cgroup(path, host.unified)
