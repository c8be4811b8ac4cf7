"""`checkpoint`: the processes of a running container are written to files. Used by the verb and `aside`.

criu is told what runc tells it, and in runc's words, so that a checkpoint of runc's can be restored here.
"""

from __future__ import annotations

import json
import os

from pydock_runtime import abi
from pydock_runtime import spec as specs
from pydock_runtime.checkpoint import external, rpc
from pydock_runtime.checkpoint.folders import Folders
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.rootfs import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup

LOG = "dump.log"
DESCRIPTORS = "descriptors.json"
"""Beside criu's files: what init's stdin, stdout and stderr were; the name and form are runc's."""
# kind of namespace of others -> what criu calls it, and the name that it goes by in a checkpoint
OF_OTHERS = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
EMPTY = abi.CLONE_NEWNET
"""Namespaces whose contents are not kept: interfaces are the business of whoever made them."""
UNRESTORED = (
    ("linux", "intelRdt"),
    ("linux", "memoryPolicy"),
    ("linux", "netDevices"),
    ("linux", "personality"),
    ("process", "ioPriority"),
)
"""Parts of a spec that criu leaves out in silence."""
TAKEN_TO = {"": 6, "ignore": 0, "soft": 3, "full": 4, "strict": 5}
"""What becomes of cgroups, by the words of --manage-cgroups-mode: criu's numbers."""


def dump(
    spec: dict[str, Any],
    cgroup: Cgroup,
    pid: int,
    folders: Folders,
    wanted: dict[str, Any],
    *,
    root: str,
    first: bool,
    ready: int | None = None,
) -> None:
    """Write the processes of the container whose init is `pid`; RuntimeFailure says why criu could not.

    `root` is the path of its root on the host, `wanted` are further options of criu. With `first` only memory is
    written, and the container goes on: a later checkpoint with this one as its parent writes what has changed since.
    `ready` is a descriptor to which a zero byte is written when memory can be fetched (`lazy_pages`).
    """
    check(spec)
    program = rpc.program(*parts(spec), at=folders.criu)
    for feature, asked in (("mem_track", first), ("lazy_pages", wanted.get("lazy_pages"))):
        if asked:
            rpc.require(program, feature)
    options = {**folders.options(LOG), **_options(spec, cgroup, pid, root), **wanted}
    if wanted.get("parent_img"):
        options["track_mem"] = True
    if not first:
        found = external.names(spec, cgroup, pid)
        options["ext_mnt"] = [{"key": place, "val": name} for place, name in sorted(found.items())]
        folders.write(DESCRIPTORS, json.dumps([_descriptor(pid, number) for number in range(3)]))

    def heard(script: str, _pid: int, _fd: int | None) -> None:
        if script == "status-ready" and ready is not None:
            os.write(ready, b"\0")

    with folders.explained(LOG):
        rpc.ask(program, {"type": rpc.PRE_DUMP if first else rpc.DUMP, "opts": options}, heard=heard)


def check(spec: dict[str, Any]) -> None:
    """Raise RuntimeFailure for a container that criu would not restore as it was."""
    for part, name in UNRESTORED:
        if (spec.get(part) or {}).get(name):
            raise RuntimeFailure(f"criu does not restore {part}.{name}", INVALID)
    if not specs.owns(spec, "mount"):
        raise RuntimeFailure("criu does not restore a mount namespace of others", INVALID)
    if sources.needed(spec.get("mounts") or [], user=False):
        raise RuntimeFailure("criu does not restore mounts whose ids are mapped", INVALID)


def parts(spec: dict[str, Any]) -> list[str]:
    """Return what of a container not every criu restores, as `rpc.program` takes it."""
    return ["noNewPrivileges"] if spec["process"].get("noNewPrivileges") else []


def _options(spec: dict[str, Any], cgroup: Cgroup, pid: int, root: str) -> dict[str, Any]:
    namespaces = spec.get("linux", {}).get("namespaces") or ()
    paths = {entry["type"]: entry["path"] for entry in namespaces if entry.get("path")}
    return {
        "pid": pid,
        "root": root,
        "notify_scripts": True,
        "orphan_pts_master": True,
        "empty_ns": EMPTY,
        "freeze_cgroup": cgroup.freezer(),
        "external": [
            f"{word}[{os.stat(paths[kind]).st_ino}]:{name}" for kind, (word, name) in OF_OTHERS.items() if kind in paths
        ],
    }


def _descriptor(pid: int, number: int) -> str:
    """Say what a descriptor of a process is; /dev/null for one that is closed."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except FileNotFoundError:
        return "/dev/null"


def cgroup_options(word: str) -> dict[str, Any]:
    """Return criu's options for a word of --manage-cgroups-mode; RuntimeFailure for another word."""
    if word not in TAKEN_TO:
        raise RuntimeFailure(f"invalid manage-cgroups-mode value {word!r}", INVALID)
    return {"manage_cgroups": True, "manage_cgroups_mode": TAKEN_TO[word]}
