"""Building and entering the root: overlay or folder, mounts, devices, pivot_root. Used by `init`.

All mounts are made in the container's own mount namespace: nothing of them is ever seen on the host, and they go when
its last process goes.
"""

from __future__ import annotations

import os

from pydock_runtime import abi, labels, linux
from pydock_runtime.errors import INVALID, RuntimeFailure, reason
from pydock_runtime.rootfs import devices, mask, mounts, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_runtime.cgroup import Cgroup

# rootfsPropagation -> what becomes of the host's mounts in here, and of the container's root
PROPAGATION = {
    "": (abi.MS_SLAVE, 0),
    "private": (abi.MS_PRIVATE, 0),
    "rprivate": (abi.MS_PRIVATE, 0),
    "slave": (abi.MS_SLAVE, 0),
    "rslave": (abi.MS_SLAVE, 0),
    "shared": (abi.MS_SLAVE, abi.MS_SHARED),
    "rshared": (abi.MS_SLAVE, abi.MS_SHARED | abi.MS_REC),
    "unbindable": (abi.MS_SLAVE, abi.MS_UNBINDABLE),
    "runbindable": (abi.MS_SLAVE, abi.MS_UNBINDABLE | abi.MS_REC),
}


ROOT = -1
"""Stands for the root among the sources that were opened outside, which are numbered by their place."""


def enter(
    spec: dict[str, Any],
    *,
    bundle: str,
    overlay: dict[str, Any] | None,
    cgroup: Cgroup,
    sources: dict[int, int],
    pivot: bool,
    prepared: Callable[[], None],
) -> None:
    """Build the root and make it this process's; afterwards `/` is the container's.

    `sources` are mounts that were opened outside, by the number of their entry, or ROOT. `prepared` is called when
    all is built, with the host's root still there and the new one as working directory.
    """
    linux_part, entries = spec.get("linux", {}), spec.get("mounts") or []
    word = linux_part.get("rootfsPropagation") or ""
    if word not in PROPAGATION:
        raise RuntimeFailure(f"rootfsPropagation {word!r} is not supported", INVALID)
    outside, inside = PROPAGATION[word]
    label = linux_part.get("mountLabel") or ""
    shared = mounts.open_shared(entries, sources)
    # What the host mounts later may come in (slave); what is mounted here never gets out.
    linux.mount(None, "/", None, abi.MS_REC | outside)
    root = _root(spec, bundle, overlay, shared.pop(ROOT, None), label)
    try:
        mounts.mount_all(root, entries, cgroup, shared, label)
        devices.make_all(root, linux_part.get("devices") or [], defaults=not _host_dev(entries))
        mask.make_readonly(root, linux_part.get("readonlyPaths") or [])
        mask.mask(root, linux_part.get("maskedPaths") or [], label)
        os.fchdir(root)
        prepared()
        os.fchdir(root)
    finally:
        os.close(root)
    if pivot:
        # The old root lands on top of the new one and is taken off: no folder for it is needed in the image.
        linux.pivot_root(".", ".")
        linux.umount2(".", abi.MNT_DETACH)
    else:
        _move_root()
    os.chdir("/")
    if inside:
        linux.mount(None, "/", None, inside)


def _root(spec: dict[str, Any], bundle: str, overlay: dict[str, Any] | None, ready: int | None, label: str) -> int:
    """Mount the root and return a descriptor of it; `ready` is one that was mounted outside."""
    if ready is not None:
        _cover_root(ready)
        return ready
    path = mount_overlay(overlay, label) if overlay else bind_folder(spec, bundle)
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _cover_root(tree: int) -> None:
    """Mount a root on top of `/`: no folder is needed that who is in a user namespace may enter.

    Paths of the host go on to be found: they begin at the root of this process, not at what covers it.
    """
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        linux.move_mount(tree, top, path="/")
    finally:
        os.close(top)


def _move_root() -> None:
    """Move the root over the host's, which the kernel lets nobody pivot away from: the initial memory file system.

    The host's /proc and /sys go first: from below they could be reached by who may mount, unmasked.
    """
    new = os.getcwd()
    with open("/proc/self/mountinfo", "rb") as file:
        rows = [line.split() for line in file]
    types = {row[4]: row[row.index(b"-") + 1] for row in rows}
    for place, type_ in sorted(types.items(), reverse=True):
        path = os.fsdecode(place).encode().decode("unicode_escape")
        if type_ in (b"proc", b"sysfs") and not path.startswith(f"{new}/"):
            linux.mount(None, path, None, abi.MS_SLAVE | abi.MS_REC)
            linux.umount2(path, abi.MNT_DETACH)
    linux.mount(".", "/", None, abi.MS_MOVE)
    os.chroot(".")


def _host_dev(entries: list[dict[str, Any]]) -> bool:
    """Say whether /dev is the host's own, in which nothing must be made."""
    places = [entry for entry in entries if (entry.get("destination") or "").rstrip("/") == "/dev"]
    return bool(places) and options.of(places[-1]).is_bind


def seal(spec: dict[str, Any]) -> None:
    """Make the root read-only if asked; the last change to it."""
    if not spec.get("root", {}).get("readonly"):
        return
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        linux.mount_setattr(root, set_=abi.MOUNT_ATTR_RDONLY, path="/")
    finally:
        os.close(root)


def mount_overlay(overlay: dict[str, Any], label: str = "") -> str:
    """Mount the layers over the upper folder itself, which the mount hides; names are relative, a page is the limit."""
    os.chdir(overlay["base"])
    upper, work = overlay["upper"], overlay["work"]
    data = f"lowerdir={':'.join(overlay['lower'])},upperdir={upper},workdir={work}"
    try:
        linux.mount("overlay", upper, "overlay", 0, labels.mount_data(data, label))
    except OSError as error:
        raise RuntimeFailure(f"error mounting overlay: {reason(error)} ({len(overlay['lower'])} layers)") from error
    return str(upper)


def bind_folder(spec: dict[str, Any], bundle: str) -> str:
    """Make the folder that is the root a mount, and return its path."""
    path = os.path.join(bundle, spec.get("root", {}).get("path") or "rootfs")
    try:
        tree = linux.open_tree(abi.AT_FDCWD, path, abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
    except OSError as error:
        raise RuntimeFailure(f"root filesystem {path}: {reason(error)}", INVALID) from error
    place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    linux.move_mount(tree, place, path=path)
    os.close(tree)
    os.close(place)
    return path
