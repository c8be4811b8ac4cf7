"""A root whose files have plain ids on disk, shown with those of the container's user namespace. Used by `launch`.

Layers, upper folder and plain trees are given as idmapped mounts (mount_setattr(2), Linux 5.12; overlayfs takes them as
layers since 5.19): what is 0 on disk is the container's root inside, and the other way round. So one image serves
containers with and without a user namespace, and what is done to files from outside need know of none.
"""

from __future__ import annotations

import os

from pydock_runtime import abi, linux
from pydock_runtime.errors import RuntimeFailure, reason
from pydock_runtime.rootfs import aside, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def open_root(overlay: dict[str, Any], users: int, owner: tuple[int, int], label: str = "") -> int:
    """Return a detached mount of an overlay, or of {"folder": path}; the caller's to close.

    `users` is a descriptor of the user namespace, `owner` what its root is outside. RuntimeFailure says what cannot be
    mapped. The caller has one thread only.
    """
    if "folder" in overlay:
        return _mapped(overlay["folder"], users)

    def story() -> int:
        linux.unshare(abi.CLONE_NEWNS)
        return mounted(overlay, users, owner, label)

    return aside.taken(story, "mounting a mapped root")


def mounted(overlay: dict[str, Any], users: int, owner: tuple[int, int], label: str = "") -> int:
    """Do as `open_root`, in this thread: it has mounts of its own, and makes files as `owner` from now on."""
    if "folder" in overlay:
        return _mapped(overlay["folder"], users)
    linux.mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)
    base = overlay["base"]
    above = os.path.dirname(os.path.join(base, overlay["upper"]))
    _cover(base, users)
    if not f"{above}/".startswith(f"{base}/"):
        _cover(above, users)
    # The overlay makes its own files as who has mounted it, and 0 of the host is nobody there.
    linux.prctl(abi.PR_SET_SECUREBITS, abi.SECBIT_NO_SETUID_FIXUP)
    linux.set_file_ids(*owner)
    return linux.open_tree(abi.AT_FDCWD, prepare.mount_overlay(overlay, label), abi.OPEN_TREE_CLONE)


def _cover(path: str, users: int) -> None:
    """Hide a folder under itself, mapped: the names of layers, which must be short, stay what they are."""
    tree = _mapped(path, users)
    place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    linux.move_mount(tree, place, path=path)
    os.close(place)
    os.close(tree)


def _mapped(path: str, users: int) -> int:
    try:
        tree = linux.open_tree(abi.AT_FDCWD, path, abi.OPEN_TREE_CLONE)
    except OSError as error:
        raise RuntimeFailure(f"root filesystem {path}: {reason(error)}") from error
    # A copy of a shared mount is shared as well: what the container mounts in it would be seen on the host.
    private = abi.MS_PRIVATE
    try:
        linux.mount_setattr(tree, set_=abi.MOUNT_ATTR_IDMAP, propagation=private, user_namespace=users, path=path)
    except OSError as error:
        os.close(tree)
        raise RuntimeFailure(f"{path}: its file system cannot be mapped: {reason(error)}") from error
    return tree
