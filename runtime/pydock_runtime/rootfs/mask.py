"""Paths that are hidden or made read-only, before the root is entered. Used by `prepare`.

What hides a file is the host's /dev/null: the container's could be a link to something else (CVE-2025-31133).
"""

from __future__ import annotations

import os
import stat

from pydock_runtime import abi, labels, linux
from pydock_runtime.rootfs import inroot


def mask(root: int, paths: list[str], label: str = "") -> None:
    """Hide files behind /dev/null, directories behind an empty read-only tmpfs; a missing one is hidden already.

    `label` is the SELinux label of new file systems.
    """
    for path in paths:
        place = _open(root, path)
        if place is None:
            continue
        target = inroot.by_descriptor(place)
        try:
            # A bind mount that the kernel refuses, of a file over a directory, makes it wait for a grace period.
            if stat.S_ISDIR(os.fstat(place).st_mode):
                linux.mount("tmpfs", target, "tmpfs", abi.MS_RDONLY, labels.mount_data("size=0k", label))
            else:
                linux.mount("/dev/null", target, None, abi.MS_BIND)
        finally:
            os.close(place)


def make_readonly(root: int, paths: list[str]) -> None:
    """Make paths read-only with everything mounted below them."""
    for path in paths:
        place = _open(root, path)
        if place is None:
            continue
        tree = linux.open_tree(place, "", abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE | abi.AT_EMPTY_PATH)
        try:
            linux.mount_setattr(tree, set_=abi.MOUNT_ATTR_RDONLY, recursive=True, path=path)
            linux.move_mount(tree, place, path=path)
        finally:
            os.close(tree)
            os.close(place)


def _open(root: int, path: str) -> int | None:
    try:
        return inroot.open_path(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return None
