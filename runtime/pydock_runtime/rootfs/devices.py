"""Device nodes and links of /dev: the ones the spec requires of every container, and those it names. Used by `prepare`.

Runtime-spec, "Default Devices" and "Dev symbolic links".
"""

from __future__ import annotations

import os
import stat

from pydock_runtime import abi, linux
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.rootfs import inroot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def make_all(root: int, devices: list[dict[str, Any]], *, defaults: bool) -> None:
    """Make the nodes and links below /dev of the root; the umask must be zero."""
    if defaults:
        folder = inroot.open_directory(root, "/dev")
        try:
            _make_defaults(folder)
        finally:
            os.close(folder)
    for device in devices:
        _device(root, device)


def _make_defaults(folder: int) -> None:
    for name, major, minor in DEFAULT:
        _node(folder, name, stat.S_IFCHR | 0o666, os.makedev(major, minor), f"/dev/{name}")
    for name, target in LINKS:
        try:
            os.symlink(target, name, dir_fd=folder)
        except FileExistsError:
            continue


def _device(root: int, device: dict[str, Any]) -> None:
    if not device.get("path") or device.get("type") not in TYPES:
        raise RuntimeFailure(f"device {device.get('path')}: unknown type {device.get('type')!r}", INVALID)
    parent, name = os.path.split(device["path"])
    folder = inroot.open_directory(root, parent or "/")
    try:
        mode = TYPES[device["type"]] | (device.get("fileMode") or 0o666) & 0o7777
        _node(folder, name, mode, os.makedev(device.get("major", 0), device.get("minor", 0)), device["path"])
        os.chown(name, device.get("uid") or 0, device.get("gid") or 0, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def _node(folder: int, name: str, mode: int, number: int, source: str) -> None:
    try:
        os.mknod(name, mode, number, dir_fd=folder)
    except FileExistsError:
        return
    except PermissionError:
        # Where nodes cannot be made, the host's own one is shown.
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=folder))
        tree = linux.open_tree(abi.AT_FDCWD, source, abi.OPEN_TREE_CLONE)
        place = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=folder)
        linux.move_mount(tree, place, path=source)
        os.close(tree)
        os.close(place)
