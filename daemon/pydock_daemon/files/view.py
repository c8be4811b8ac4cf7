"""Entering a container's file system: what a child that works on its files does first. Used by `child`.

Afterwards `/` is the container's root in a mount namespace that belongs to this process alone. Whatever a path says
and whatever the container's processes do to it meanwhile, the kernel resolves it below that root; all mounts go when
this process ends.

    running      a private copy of the container's own mounts, tmpfs included, without /dev, /proc and /sys; as the
                 root of the user namespace that it has, so that ids are those it sees
    stopped      its overlay with volumes, bind mounts and files of its own on top, made here; for reading what is
                 written goes to a tmpfs, so that a container that starts meanwhile is not disturbed
    difference   below `/lower` what the container was made from, below `/written` the folder of what it wrote
"""

import json
import os
import stat
import sys
from contextlib import suppress
from typing import Any

from pydock_daemon.snapshots import layer
from pydock_runtime import abi, linux, usermaps
from pydock_runtime.errors import RuntimeFailure, reason
from pydock_runtime.rootfs import inroot

UMOUNT_NOFOLLOW = 8
KERNEL = ("/dev", "/proc", "/sys")
LOWER, WRITTEN = "/lower", "/written"
WHOLE = "/whole"
"""Is there when what was written is no folder of overlayfs but a copy of the whole tree: with two times of change, from
the first of which to before the second a file has that is as it was copied."""


class Gone(Exception):
    """The container's process has ended."""


def running(view: dict[str, Any]) -> None:
    """Enter the file system that the process of the descriptor `pidfd` sees; `bare` leaves out all that is mounted."""
    try:
        linux.setns(view["pidfd"], abi.CLONE_NEWNS | (abi.CLONE_NEWUSER if view["users"] else 0))
    except ProcessLookupError as error:
        raise Gone from error
    if view["users"]:
        usermaps.become_root(drop_groups=True)
    _own_namespace()
    if view["bare"]:
        _enter(linux.open_tree(abi.AT_FDCWD, "/", abi.OPEN_TREE_CLONE))
        return
    for path in KERNEL:
        try:
            linux.umount2(path, abi.MNT_DETACH | UMOUNT_NOFOLLOW)
        except OSError:
            continue  # nothing is mounted there, or it is a link


def stopped(view: dict[str, Any]) -> None:
    """Enter the file system of a container that does not run: `overlay`, `stage` and `mounts`; `write` to change it.

    `folder` is where its program begins: dockerd makes it at create, and files are copied there ahead of a start.
    """
    _own_namespace()
    overlay = view["overlay"]
    if "plain" in overlay:
        root = linux.open_tree(abi.AT_FDCWD, overlay["plain"], abi.OPEN_TREE_CLONE)
    elif view["write"]:
        root = _overlay(view["stage"], overlay["base"], overlay["lower"], overlay["upper"], overlay["work"])
    else:
        root = _throwaway(view["stage"], overlay["base"], [overlay["upper"], *overlay["lower"]])
    for mount in view["mounts"]:
        if os.path.exists(mount["source"]):
            _bind(root, mount)
    if view["folder"]:
        with suppress(OSError, RuntimeFailure):  # if it cannot be made the start will say so
            os.close(inroot.open_directory(root, view["folder"]))
    if view["read_only"]:
        linux.mount_setattr(root, set_=abi.MOUNT_ATTR_RDONLY, path="/")
    _enter(root)


def difference(view: dict[str, Any]) -> None:
    """Enter a place with both sides of a container's changes."""
    _own_namespace()
    overlay, stage = view["overlay"], view["stage"]
    if "plain" in overlay:
        linux.mount("tmpfs", stage, "tmpfs", abi.MS_NODEV | abi.MS_NOSUID, "mode=700")
        with open(stage + WHOLE, "w") as file:
            json.dump(overlay["copied"], file)
        below, written = overlay["below"], overlay["plain"]
    else:
        below = inroot.by_descriptor(_throwaway(stage, overlay["base"], overlay["lower"]))
        written = overlay["upper"]
    for path, source in ((LOWER, below), (WRITTEN, written)):
        os.mkdir(stage + path)
        linux.mount(source, stage + path, None, abi.MS_BIND)
    _enter(os.open(stage, os.O_PATH | os.O_DIRECTORY))


VIEWS = {"running": running, "stopped": stopped, "difference": difference}


def enter(view: dict[str, Any]) -> None:
    """Enter a view; from here on nothing is imported, since what would be found is the container's."""
    VIEWS[view["kind"]](view)
    sys.path.clear()
    sys.meta_path.clear()


def _own_namespace() -> None:
    linux.unshare(abi.CLONE_NEWNS)
    linux.mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)


def _enter(root: int) -> None:
    os.fchdir(root)
    os.close(root)
    os.chroot(".")
    os.chdir("/")


def _throwaway(stage: str, base: str, lower: list[str]) -> int:
    """Mount layers, top first, so that nothing of them can be changed; return a descriptor of the root."""
    linux.mount("tmpfs", stage, "tmpfs", abi.MS_NODEV | abi.MS_NOSUID, "mode=700")
    upper, work = f"{stage}/upper", f"{stage}/work"
    os.mkdir(upper)
    os.mkdir(work)
    layer.copy_root(os.path.join(base, lower[0]), upper)
    return _overlay(stage, base, lower, upper, work)


def _overlay(stage: str, base: str, lower: list[str], upper: str, work: str) -> int:
    """Mount an overlay; the names of layers are relative to `base`, since the options of a mount must fit a page."""
    target = f"{stage}/root"
    os.makedirs(target, exist_ok=True)
    os.chdir(base)
    data = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
    linux.mount("overlay", target, "overlay", 0, data)
    os.chdir("/")
    return os.open(target, os.O_PATH | os.O_DIRECTORY)


def _bind(root: int, mount: dict[str, Any]) -> None:
    """Put a file or folder of the host where the container will have it; a missing target is made, as at a start."""
    recursive = abi.AT_RECURSIVE if "rbind" in mount["options"] else 0
    tree = linux.open_tree(abi.AT_FDCWD, mount["source"], abi.OPEN_TREE_CLONE | recursive)
    target = mount["destination"]
    if "maps" in mount:
        _map(tree, target, **mount["maps"])
    is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
    place = inroot.open_directory(root, target) if is_folder else inroot.open_file(root, target)
    if {"ro", "rro"} & set(mount["options"]):
        linux.mount_setattr(tree, set_=abi.MOUNT_ATTR_RDONLY, recursive="rro" in mount["options"], path=target)
    linux.move_mount(tree, place, path=target)
    os.close(place)
    os.close(tree)


def _map(tree: int, target: str, uids: list[dict[str, Any]], gids: list[dict[str, Any]]) -> None:
    """Show files of the host with the ids that a container would see; what it would not, nobody owns."""
    users = usermaps.namespace(uids, gids)
    try:
        linux.mount_setattr(tree, set_=abi.MOUNT_ATTR_IDMAP, user_namespace=users, path=target)
    except OSError as error:
        raise RuntimeFailure(f"mount {target}: its file system cannot be mapped: {reason(error)}") from error
    finally:
        os.close(users)
