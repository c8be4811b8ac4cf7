"""Sources of mounts that only the host can open: idmapped ones, other containers', and all of a user namespace's.

Used by `launch`. What is opened here is a detached copy, sent to init before it builds its root. From inside a user
namespace the files may not be reachable, and a mount's owners can be mapped by nobody but the owner of its file system.
"""

from __future__ import annotations

import os
import re

from pydock_runtime import abi, linux, rootless, usermaps
from pydock_runtime.errors import INVALID, RuntimeFailure, reason
from pydock_runtime.rootfs import aside, mounts, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ELSEWHERE = re.compile(r"/proc/([0-9]+)/root(/.+)")


def check(entries: list[dict[str, Any]], *, user: bool) -> None:
    """Raise RuntimeFailure for mapped mounts that cannot be; `user`: whether the container has a user namespace."""
    for mount in filter(_is_mapped, entries):
        target = mount.get("destination")
        if not options.of(mount).is_bind:
            raise RuntimeFailure(f"mount {target}: only bind mounts can be mapped", INVALID)
        if rootless.unprivileged():
            raise RuntimeFailure(f"mount {target}: mapped mounts are not supported for rootless containers", INVALID)
        if mount.get("uidMappings") or mount.get("gidMappings"):
            usermaps.check(mount.get("uidMappings"), mount.get("gidMappings"), f"mount {target}")
        elif not user:
            raise RuntimeFailure(f"mount {target}: idmap needs mappings, or a container with a user namespace", INVALID)


def needed(entries: list[dict[str, Any]], *, user: bool) -> bool:
    """Say whether there is anything to open here."""
    return user or any(_is_mapped(mount) or _elsewhere(mount) for mount in entries)


def open_all(entries: list[dict[str, Any]], user_namespace: str | None) -> dict[int, int]:
    """Return descriptors by their place in the list; `user_namespace` is the path of the container's own, if any."""
    opened: dict[int, int] = {}
    if rootless.unprivileged():
        return opened  # all that he may open he may open from inside
    try:
        for number, mount in enumerate(entries):
            chosen = options.of(mount)
            other = _elsewhere(mount)
            if not chosen.is_bind or not (user_namespace or other or _is_mapped(mount)):
                continue
            source = mount.get("source") or ""
            opened[number] = _of_another(*other.groups()) if other else mounts.open_source(source, chosen)
            if _is_mapped(mount):
                _map(opened[number], mount, chosen, user_namespace)
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return opened


def _elsewhere(mount: dict[str, Any]) -> re.Match[str] | None:
    """Say whether the source is in another process's mounts, of which nobody outside may take a copy."""
    source = mount.get("source") or ""
    return ELSEWHERE.fullmatch(source) if source.startswith("/proc/") else None


def _of_another(pid: str, path: str) -> int:
    """Return a copy of the mount at a path as another process has it, /dev/shm, say; what is below is left out."""

    def story() -> int:
        home = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        linux.setns(home, abi.CLONE_NEWNS)
        return linux.open_tree(abi.AT_FDCWD, path, abi.OPEN_TREE_CLONE)

    return aside.taken(story, f"{path} of process {pid}")


def _is_mapped(mount: dict[str, Any]) -> bool:
    return bool(mount.get("uidMappings") or mount.get("gidMappings") or options.of(mount).idmap)


def _map(tree: int, mount: dict[str, Any], chosen: options.Options, user_namespace: str | None) -> None:
    if mount.get("uidMappings"):
        fd = usermaps.namespace(mount["uidMappings"], mount["gidMappings"])
    else:
        fd = os.open(user_namespace or "", os.O_RDONLY | os.O_CLOEXEC)
    recursive = chosen.idmap == options.RECURSIVE_IDMAP
    target = mount.get("destination") or ""
    try:
        linux.mount_setattr(tree, set_=abi.MOUNT_ATTR_IDMAP, user_namespace=fd, recursive=recursive, path=target)
    except OSError as error:
        raise RuntimeFailure(f"mount {target}: its file system cannot be mapped: {reason(error)}", INVALID) from error
    finally:
        os.close(fd)
