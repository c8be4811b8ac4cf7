"""Control groups by the cgroup file system: one object for a container, whatever the host mounts (v1, hybrid or v2).

Used by the supervisor and the verbs. The holder of a Cgroup removes it.
"""

from __future__ import annotations

from pydock_runtime.cgroup import layout, v1, v2
from pydock_runtime.cgroup.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Cgroup = v1.Cgroup | v2.Cgroup

__all__ = ["Cgroup", "Layout", "create", "open_existing"]


def create(path: str, resources: dict[str, Any], *, systemd: bool = False) -> Cgroup:
    """Make the cgroup at a path below the root of the hierarchies, with limits; OSError leaves nothing behind."""
    if systemd:
        raise OSError(95, "the systemd cgroup driver is not supported", path)
    group = open_existing(path)
    try:
        group.make()
        group.update(resources)
    except OSError:
        group.remove()
        raise
    return group


def open_existing(path: str) -> Cgroup:
    """Return the cgroup at a path that was made before."""
    host = layout.of_host()
    return v2.Cgroup(path, host.unified or "") if not host.hierarchies else v1.Cgroup(path, host)
