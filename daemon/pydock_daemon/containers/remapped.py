"""Containers whose users are others on the host (`--userns-remap`): what they cannot have, and what their spec says.

Imported where the daemon has such. The root, the container's own files and volumes have plain ids on disk and are
mapped when they are mounted; what is the host's, bind mounts, devices and mounted volumes, is shown as it is.
"""

import os
from typing import TYPE_CHECKING, Any

from pydock_daemon.values import OWN_RUNTIME
from pydock_shared.errors import Conflict, InvalidArgument, NotSupported
from pydock_shared.wire.container import HostConfig

from . import files
from .model import Container
from .service import Containers

if TYPE_CHECKING:
    from pydock_daemon.remapping import Remap

Spec = dict[str, Any]
# What such a container cannot share with the host; the words are dockerd's, which lets runc fail with the last one.
CONFLICTS: tuple[tuple[str, Any, str], ...] = (
    ("privileged", True, "privileged mode is incompatible with user namespaces.  "
     "You must run the container in the host namespace when running privileged mode"),
    ("network_mode", "host", "cannot share the host's network namespace when user namespaces are enabled"),
    ("pid_mode", "host", "cannot share the host PID namespace when user namespaces are enabled"),
    ("ipc_mode", "host", "cannot share the host's IPC namespace when user namespaces are enabled"),
)  # fmt: skip
PING = "net.ipv4.ping_group_range"


def of(containers: Containers, host: HostConfig) -> "Remap | None":
    """Return the ids of a container on the host, None for one whose users are the host's."""
    return None if host.userns_mode == "host" else containers.remap


def check(containers: Containers, host: HostConfig) -> None:
    """Refuse what users that are not the host's cannot have."""
    if of(containers, host) is None:
        return
    for attribute, value, words in CONFLICTS:
        if getattr(host, attribute) == value:
            raise InvalidArgument(words)
    if (host.runtime or OWN_RUNTIME) != OWN_RUNTIME:
        raise NotSupported(f"runtime {host.runtime} is not supported when user namespaces are enabled")


def apply(containers: Containers, container: Container, spec: Spec, shared: dict[str, int]) -> None:
    """Change a spec to one of a container with a user namespace; `shared` as in `spec.Facts`."""
    check(containers, container.host)
    remap = of(containers, container.host)
    if remap is None:
        return
    part = spec["linux"]
    users = _joined(shared)
    if users is None:
        part |= {"uidMappings": remap.uids, "gidMappings": remap.gids}
    part["namespaces"] += [{"type": "user"} | ({"path": users} if users else {})]
    if PING not in (container.host.sysctls or {}):
        part["sysctl"].pop(PING, None)  # inside there are no such groups: dockerd leaves it as it is, too
    plain = _plain(containers, container)
    for mount in spec["mounts"]:
        if mount["type"] == "bind" and mount["destination"] in plain:
            mount["options"] = [*mount["options"], "idmap"]
    # Nodes cannot be made there, and the host's own one need not have the same name.
    nodes = [device for device in part["devices"] if "source" in device]
    spec["mounts"] += [
        {"destination": node["path"], "type": "bind", "source": node["source"], "options": ["bind"]} for node in nodes
    ]
    part["devices"] = [device for device in part["devices"] if "source" not in device]


def _joined(shared: dict[str, int]) -> str | None:
    """Return the path of the user namespace of those whose namespaces are joined, which must be one; None for none."""
    others = {name: pid for name, pid in shared.items() if pid != 1}
    found = {name: _users(pid) for name, pid in others.items()}
    for name, users in found.items():
        if users == _users(os.getpid()):
            raise Conflict(f"cannot join the {name} namespace of a container in the host's user namespace")
    if len(set(found.values())) > 1:
        raise Conflict("cannot join namespaces of containers in different user namespaces")
    return next((f"/proc/{pid}/ns/user" for pid in others.values()), None)


def _users(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/user").st_ino
    except FileNotFoundError as error:
        raise Conflict("cannot join the namespaces of a container that is not running") from error


def _plain(containers: Containers, container: Container) -> set[str]:
    """Return where what has plain ids on disk is mounted."""
    covered = {point.target for point in container.mounts}
    volumes = {
        point.target
        for point in container.mounts
        if point.type == "volume" and not containers.volumes.get(point.name).mounted
    }
    return (set(files.paths(containers, container)) - covered) | volumes


def back(containers: Containers, container: Container, mounts: list[dict[str, Any]]) -> None:
    """Have files of the host shown with the ids that the container sees, for work on its files while it is stopped."""
    remap = of(containers, container.host)
    if remap is None:
        return
    plain = _plain(containers, container)
    for mount in mounts:
        if mount["destination"] not in plain:
            mount["maps"] = remap.back
