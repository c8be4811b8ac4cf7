"""Paths that are hidden or made read-only, once the root is the container's. Used by `init`."""

from __future__ import annotations

import os
import stat

from pydock_runtime import abi, linux


def mask(paths: list[str]) -> None:
    """Hide paths: a file behind /dev/null, a directory behind an empty read-only tmpfs. A missing one is hidden already."""
    for path in paths:
        place = _open(path)
        if place is None:
            continue
        try:
            if stat.S_ISDIR(os.fstat(place).st_mode):
                linux.mount("tmpfs", f"/proc/self/fd/{place}", "tmpfs", abi.MS_RDONLY, "size=0k")
            else:
                _attach("/dev/null", place, 0, path)
        finally:
            os.close(place)


def make_readonly(paths: list[str]) -> None:
    """Make paths read-only with everything mounted below them."""
    for path in paths:
        place = _open(path)
        if place is None:
            continue
        try:
            _attach(path, place, abi.MOUNT_ATTR_RDONLY, path)
        finally:
            os.close(place)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _attach(source: str, place: int, attributes: int, path: str) -> None:
    tree = linux.open_tree(abi.AT_FDCWD, source, abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
    try:
        if attributes:
            linux.mount_setattr(tree, set_=attributes, clear=0, propagation=0, recursive=True, path=path)
        linux.move_mount(tree, place, path=path)
    finally:
        os.close(tree)
