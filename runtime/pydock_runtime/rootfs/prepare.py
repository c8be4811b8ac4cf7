"""Building and entering the root: overlay or folder, mounts, devices, pivot_root. Used by `init`.

All mounts are made in the container's own mount namespace: nothing of them is ever seen on the host, and they go when
its last process goes.
"""

from __future__ import annotations

import os

from pydock_runtime import abi, linux
from pydock_runtime.errors import INVALID, RuntimeFailure, reason
from pydock_runtime.rootfs import devices, mask, mounts, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup

ROOT_PROPAGATION = {
    "": abi.MS_SLAVE,
    "private": abi.MS_PRIVATE,
    "rprivate": abi.MS_PRIVATE,
    "slave": abi.MS_SLAVE,
    "rslave": abi.MS_SLAVE,
}


def enter(spec: dict[str, Any], *, bundle: str, overlay: dict[str, Any] | None, cgroup: Cgroup) -> None:
    """Build the root and make it this process's; afterwards `/` is the container's."""
    linux_part = spec.get("linux", {})
    word = linux_part.get("rootfsPropagation", "")
    if word not in ROOT_PROPAGATION:
        raise RuntimeFailure(f"rootfsPropagation {word!r} is not supported", INVALID)
    # What the host mounts later may come in (slave); what is mounted here never gets out.
    linux.mount(None, "/", None, abi.MS_REC | ROOT_PROPAGATION[word])
    root_path = _mount_overlay(overlay) if overlay else _bind_folder(spec, bundle)
    root = os.open(root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mounts.mount_all(root, spec.get("mounts") or [], cgroup)
        devices.make_all(root, linux_part.get("devices") or [], defaults=not _host_dev(spec))
        mask.make_readonly(root, linux_part.get("readonlyPaths") or [])
        mask.mask(root, linux_part.get("maskedPaths") or [])
        os.fchdir(root)
    finally:
        os.close(root)
    # The old root lands on top of the new one and is taken off: no folder for it is needed in the image.
    linux.pivot_root(".", ".")
    linux.umount2(".", abi.MNT_DETACH)
    os.chdir("/")


def _host_dev(spec: dict[str, Any]) -> bool:
    """Say whether /dev is the host's own, in which nothing must be made."""
    return any(
        mount.get("destination", "").rstrip("/") == "/dev" and options.of(mount).is_bind
        for mount in spec.get("mounts") or ()
    )


def seal(spec: dict[str, Any]) -> None:
    """Make the root read-only if asked; the last change to it."""
    if not spec.get("root", {}).get("readonly"):
        return
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        linux.mount_setattr(root, set_=abi.MOUNT_ATTR_RDONLY, path="/")
    finally:
        os.close(root)


def _mount_overlay(overlay: dict[str, Any]) -> str:
    """Mount the layers over the upper folder itself, which the mount hides; names are relative, a page is the limit."""
    os.chdir(overlay["base"])
    upper, work = overlay["upper"], overlay["work"]
    data = f"lowerdir={':'.join(overlay['lower'])},upperdir={upper},workdir={work}"
    try:
        linux.mount("overlay", upper, "overlay", 0, data)
    except OSError as error:
        raise RuntimeFailure(f"error mounting overlay: {reason(error)} ({len(overlay['lower'])} layers)") from error
    return str(upper)


def _bind_folder(spec: dict[str, Any], bundle: str) -> str:
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
