"""`mounts` of a spec, carried out below a root that is not entered yet. Used by `prepare`.

Destinations are resolved inside the root and mounted on by descriptor, so that a link in the image cannot redirect one.
Bind mounts are detached copies (open_tree) that get their attributes before they are attached.
"""

from __future__ import annotations

import os
import stat

from pydock_runtime import abi, linux
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.rootfs import inroot, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup


def mount_all(root: int, mounts: list[dict[str, Any]], cgroup: Cgroup) -> None:
    """Carry out every entry in order; RuntimeFailure names the one that failed."""
    for mount in mounts:
        try:
            _mount(root, mount, cgroup)
        except OSError as error:
            source, target = mount.get("source") or mount.get("type"), mount.get("destination")
            reason = (error.strerror or str(error)).lower()
            kind = INVALID if isinstance(error, NotADirectoryError) else "system"
            raise RuntimeFailure(f'error mounting "{source}" to rootfs at "{target}": {reason}', kind) from error


def _mount(root: int, mount: dict[str, Any], cgroup: Cgroup) -> None:
    target = mount.get("destination") or ""
    if not target.startswith("/"):
        raise RuntimeFailure(f"mount destination {target!r} is not absolute", INVALID)
    chosen = options.of(mount)
    if chosen.is_bind:
        bind(root, mount["source"], target, chosen)
    elif mount.get("type") == "cgroup":
        _cgroup(root, target, chosen, cgroup)
    else:
        _filesystem(root, mount, target, chosen)


def bind(root: int, source: str, target: str, chosen: options.Options) -> None:
    """Show a path of the host at a destination inside the root."""
    try:
        tree = linux.open_tree(
            abi.AT_FDCWD, source, abi.OPEN_TREE_CLONE | (abi.AT_RECURSIVE if chosen.flags & abi.MS_REC else 0)
        )
    except FileNotFoundError as error:
        raise RuntimeFailure(f"bind source path does not exist: {source}", INVALID) from error
    try:
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        place = inroot.open_directory(root, target) if is_directory else inroot.open_file(root, target)
        try:
            _attributes(tree, chosen, target)
            linux.move_mount(tree, place, path=target)
        finally:
            os.close(place)
    finally:
        os.close(tree)


def _attributes(tree: int, chosen: options.Options, target: str) -> None:
    set_, clear = chosen.attributes()
    propagation = chosen.propagation or abi.MS_PRIVATE
    recursive = chosen.propagation_recursive or not chosen.propagation
    if set_ or clear:
        linux.mount_setattr(tree, set_=set_, clear=clear, propagation=0, recursive=False, path=target)
    linux.mount_setattr(
        tree,
        set_=chosen.recursive_set,
        clear=chosen.recursive_clear,
        propagation=propagation,
        recursive=recursive or bool(chosen.recursive_set or chosen.recursive_clear),
        path=target,
    )


def _filesystem(root: int, mount: dict[str, Any], target: str, chosen: options.Options) -> None:
    if chosen.tmpcopyup:
        raise RuntimeFailure("mount option tmpcopyup is not supported", INVALID)
    type_ = mount.get("type") or "none"
    place = inroot.open_directory(root, target)
    try:
        path = inroot.by_descriptor(place)
        linux.mount(mount.get("source") or type_, path, type_, chosen.flags & ~abi.MS_REC, chosen.data or None)
    finally:
        os.close(place)
    if chosen.propagation:
        place = inroot.open_path(root, target)
        try:
            linux.mount_setattr(
                place,
                set_=0,
                clear=0,
                propagation=chosen.propagation,
                recursive=chosen.propagation_recursive,
                path=target,
            )
        finally:
            os.close(place)


def _cgroup(root: int, target: str, chosen: options.Options, cgroup: Cgroup) -> None:
    """Show the container's own cgroups: on v2 one folder, on v1 one for each hierarchy, as the host lays them out."""
    views = cgroup.views()
    if list(views) == [""]:
        chosen.flags |= abi.MS_BIND
        bind(root, views[""], target, chosen)
        return
    place = inroot.open_directory(root, target)
    try:
        flags = abi.MS_NOSUID | abi.MS_NOEXEC | abi.MS_NODEV
        linux.mount("tmpfs", inroot.by_descriptor(place), "tmpfs", flags, "mode=755")
    finally:
        os.close(place)
    for name, path in views.items():
        bind(root, path, f"{target}/{name}", chosen)
    folder = inroot.open_path(root, target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in views:
            for alias in name.split(",") if "," in name else ():
                os.symlink(name, alias, dir_fd=folder)
        if chosen.flags & abi.MS_RDONLY:
            linux.mount_setattr(
                folder, set_=abi.MOUNT_ATTR_RDONLY, clear=0, propagation=0, recursive=False, path=target
            )
    finally:
        os.close(folder)
