"""`mounts` of a spec, carried out below a root that is not entered yet. Used by `prepare`.

Destinations are resolved inside the root and mounted on by descriptor, so that a link in the image cannot redirect one.
Bind mounts are detached copies (open_tree) that get their attributes before they are attached.
"""

from __future__ import annotations

import os
import stat

from pydock_runtime import abi, labels, linux
from pydock_runtime.errors import INVALID, SYSTEM, RuntimeFailure, reason
from pydock_runtime.rootfs import copyup, inroot, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup

# Where the kernel's own file systems go must be a plain directory: through a link of the image the masked paths would
# end up elsewhere (CVE-2023-27561).
PLAIN = ("proc", "sysfs")
MQUEUE = "mqueue"
# Files below /proc that programs such as lxcfs have better ones of for a container.
REPLACEABLE = (
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
)
# In a user namespace they cannot be mounted without a network or IPC namespace of its own: the host's are shown.
OF_THE_HOST = {"sysfs": "/sys", MQUEUE: "/dev/mqueue"}


def open_shared(mounts: list[dict[str, Any]], opened: dict[int, int]) -> dict[int, int]:
    """Return the sources in `opened` and, opened now, those that stay shared with the host, by their place in the list.

    While they are: as soon as this namespace has become a slave of the host's, nothing mounted here gets out any more.
    """
    opened = dict(opened)
    for number, mount in enumerate(mounts):
        chosen = options.of(mount)
        if number not in opened and chosen.is_bind and chosen.propagation == abi.MS_SHARED:
            opened[number] = open_source(mount.get("source") or "", chosen)
    return opened


def mount_all(root: int, mounts: list[dict[str, Any]], cgroup: Cgroup, shared: dict[int, int], label: str = "") -> None:
    """Carry out every entry in order; RuntimeFailure names the one that failed.

    `shared` are sources that are open already, `label` is the SELinux label of new file systems.
    """
    for number, mount in enumerate(mounts):
        try:
            _mount(root, mount, cgroup, shared.get(number), label)
        except OSError as error:
            source, target = mount.get("source") or mount.get("type"), mount.get("destination")
            kind = INVALID if isinstance(error, NotADirectoryError) else SYSTEM
            raise RuntimeFailure(f'error mounting "{source}" to rootfs at "{target}": {reason(error)}', kind) from error


def _check_over_proc(target: str, type_: str, tree: int | None) -> None:
    """Raise RuntimeFailure for a mount that would put the image's files where the kernel's are read and written.

    CVE-2019-16884; the rules and the words are runc's. `tree` is the source of a bind mount.
    """
    if "proc" not in target:
        return
    place = os.path.normpath(f"/{target}").lstrip("/").split("/")
    if place[0] != "proc" or "/".join(place[1:]) in REPLACEABLE:
        return
    if len(place) > 1:
        raise RuntimeFailure(f'"{target}" cannot be mounted because it is inside /proc', INVALID)
    if type_ != "proc" and (tree is None or not linux.is_proc(tree)):
        raise RuntimeFailure(f'"{target}" cannot be mounted because it is not of type proc', INVALID)


def _mount(root: int, mount: dict[str, Any], cgroup: Cgroup, shared: int | None, label: str) -> None:
    target = mount.get("destination") or ""
    if not target.startswith("/"):
        raise RuntimeFailure(f"mount destination {target!r} is not absolute", INVALID)
    chosen = options.of(mount)
    if chosen.is_bind:
        tree = open_source(mount.get("source") or "", chosen) if shared is None else shared
        _check_over_proc(target, "bind", tree)
        _bind(root, tree, target, chosen)
    elif mount.get("type") == "cgroup":
        _cgroup(root, target, chosen, cgroup, label)
    else:
        _filesystem(root, mount, target, chosen, label)


def open_source(source: str, chosen: options.Options) -> int:
    """Return a detached copy of the mount at a path of the host."""
    recursive = abi.AT_RECURSIVE if chosen.flags & abi.MS_REC else 0
    try:
        return linux.open_tree(abi.AT_FDCWD, source, abi.OPEN_TREE_CLONE | recursive)
    except FileNotFoundError as error:
        raise RuntimeFailure(f"bind source path does not exist: {source}", INVALID) from error


def _bind(root: int, tree: int, target: str, chosen: options.Options) -> None:
    """Attach a copy at a destination inside the root; closes it."""
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
    if set_ or clear:
        linux.mount_setattr(tree, set_=set_, clear=clear, path=target)
    linux.mount_setattr(
        tree,
        set_=chosen.recursive_set,
        clear=chosen.recursive_clear,
        propagation=propagation,
        recursive=chosen.recursive,
        path=target,
    )


def _filesystem(root: int, mount: dict[str, Any], target: str, chosen: options.Options, label: str) -> None:
    type_ = mount.get("type") or "none"
    data = chosen.data if type_ in (*PLAIN, MQUEUE) else labels.mount_data(chosen.data, label)
    _check_over_proc(target, type_, None)
    if chosen.tmpcopyup and type_ != "tmpfs":
        raise RuntimeFailure("mount option tmpcopyup is only for tmpfs", INVALID)
    place = inroot.open_directory(root, target, plain=type_ in PLAIN)
    try:
        path = inroot.by_descriptor(place)
        linux.mount(mount.get("source") or type_, path, type_, chosen.flags & ~abi.MS_REC, data or None)
        if type_ == MQUEUE and label:
            _label_root(root, target, label)
        if chosen.tmpcopyup:
            _copy_up(root, place, target)
    except PermissionError:
        if type_ not in OF_THE_HOST:
            raise
        tree = linux.open_tree(abi.AT_FDCWD, OF_THE_HOST[type_], abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
        _bind(root, tree, target, chosen)
    finally:
        os.close(place)
    if chosen.propagation or chosen.recursive_set or chosen.recursive_clear:
        place = inroot.open_path(root, target)
        try:
            linux.mount_setattr(
                place,
                set_=chosen.recursive_set,
                clear=chosen.recursive_clear,
                propagation=chosen.propagation,
                recursive=chosen.propagation_recursive,
                path=target,
            )
        finally:
            os.close(place)


def _label_root(root: int, target: str, label: str) -> None:
    """Label the root of a file system that takes no label for all."""
    place = inroot.open_path(root, target)
    try:
        labels.set_on_file(inroot.by_descriptor(place), label)
    finally:
        os.close(place)


def _copy_up(root: int, below: int, target: str) -> None:
    """Fill the tmpfs that was just mounted with what lies below it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    source, new = os.open(".", flags, dir_fd=below), inroot.open_path(root, target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        copyup.copy(source, new)
    finally:
        os.close(source)
        os.close(new)


def _cgroup(root: int, target: str, chosen: options.Options, cgroup: Cgroup, label: str) -> None:
    """Show the container's own cgroups: on v2 one folder, on v1 one for each hierarchy, as the host lays them out."""
    views = cgroup.views()
    if list(views) == [""]:
        _bind(root, open_source(views[""], chosen), target, chosen)
        return
    place = inroot.open_directory(root, target)
    linux.mount("tmpfs", inroot.by_descriptor(place), "tmpfs", 0, labels.mount_data("mode=755", label))
    os.close(place)
    folder = inroot.open_path(root, target)
    try:
        for name, path in views.items():
            os.mkdir(name, 0o755, dir_fd=folder)
            # Below a tmpfs that was made a moment ago there are no links.
            linux.mount(path, f"{inroot.by_descriptor(folder)}/{name}", None, abi.MS_BIND)
            for alias in name.split(",") if "," in name else ():
                os.symlink(name, alias, dir_fd=folder)
        set_, clear = chosen.attributes()
        linux.mount_setattr(
            folder,
            set_=set_,
            clear=clear,
            propagation=chosen.propagation or abi.MS_PRIVATE,
            recursive=True,
            path=target,
        )
    finally:
        os.close(folder)
