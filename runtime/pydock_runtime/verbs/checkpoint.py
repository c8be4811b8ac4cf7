"""`checkpoint`: the processes of a running container are written to files, by criu."""

from __future__ import annotations

import os

from pydock_runtime import container, state
from pydock_runtime.arguments import LIST, NUMBER, SWITCH, TEXT, Call, Flag
from pydock_runtime.checkpoint import dump
from pydock_runtime.checkpoint.folders import Folders
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = "ID"
SEALED = False
COMMON = (
    Flag("image-path", TEXT, "folder of the checkpoint (default: checkpoint, here)"),
    Flag("work-path", TEXT, "folder of criu's log (default: that of the checkpoint)"),
    Flag("tcp-established", SWITCH, "keep open connections"),
    Flag("ext-unix-sk", SWITCH, "leave out unix sockets to others"),
    Flag("shell-job", SWITCH, "let processes have a terminal that is not the container's own"),
    Flag("lazy-pages", SWITCH, "memory is fetched when it is needed"),
    Flag("file-locks", SWITCH, "keep file locks"),
    Flag("manage-cgroups-mode", TEXT, "what becomes of cgroups: soft, full, strict or ignore"),
    Flag("empty-ns", LIST, "kind of namespace whose contents are not kept: `network`, which never are"),
    Flag("auto-dedup", SWITCH, "remove from the files of memory what the next checkpoint has again"),
)
FLAGS = (
    *COMMON,
    Flag("parent-path", TEXT, "an earlier checkpoint by --pre-dump, relative to this one"),
    Flag("leave-running", SWITCH, "the container goes on afterwards"),
    Flag("link-remap", SWITCH, "keep files that have been removed by links beside them"),
    Flag("page-server", TEXT, "ADDRESS:PORT of the server that takes memory"),
    Flag("status-fd", NUMBER, "descriptor to which a zero byte is written when memory can be fetched"),
    Flag("pre-dump", SWITCH, "write memory only, and go on"),
)
# Flags that are criu's options by another name
SWITCHES = (
    "tcp-established",
    "ext-unix-sk",
    "shell-job",
    "lazy-pages",
    "file-locks",
    "auto-dedup",
    "leave-running",
    "link-remap",
)


def run(call: Call) -> int:
    """Write the checkpoint; without --leave-running the container is gone afterwards."""
    record = state.load(call.root, call.id())
    now = container.status(record)
    if now not in (state.RUNNING, state.PAUSED):
        raise RuntimeFailure(f"Container cannot be checkpointed in {now} state", INVALID)
    wanted = {**common_options(call), **_options(call)}
    with folders(call, record.spec) as where:
        dump.dump(
            record.spec,
            container.group(record),
            record.pid,
            where,
            wanted,
            root=os.path.join(record.bundle, record.spec["root"].get("path") or "rootfs"),
            first=call.has("pre-dump"),
            ready=call.number("status-fd"),
        )
    if not (call.has("leave-running") or call.has("pre-dump")):
        container.destroy(record)
    return 0


def folders(call: Call, spec: dict[str, Any]) -> Folders:
    """Open the folders that the command line names, as a container's annotations have it."""
    return Folders(images(call), call.text("work-path"), spec.get("annotations") or {}, criu=call.criu)


def images(call: Call) -> str:
    """Return the folder of the checkpoint."""
    return os.path.abspath(call.text("image-path") or "checkpoint")


def common_options(call: Call) -> dict[str, Any]:
    """Return criu's options for the flags of both verbs."""
    for kind in call.list("empty-ns"):
        if kind != "network":
            raise RuntimeFailure(f'namespace "{kind}" is not supported', INVALID)
    switches = {name.replace("-", "_"): True for name in SWITCHES if call.has(name)}
    return {**dump.cgroup_options(call.text("manage-cgroups-mode")), **switches}


def _options(call: Call) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if parent := call.text("parent-path"):
        if os.path.isabs(parent):
            raise RuntimeFailure("--parent-path must be relative", INVALID)
        if not os.path.isdir(os.path.join(images(call), parent)):
            raise RuntimeFailure(f"invalid --parent-path: {parent} is no folder", INVALID)
        options["parent_img"] = parent
    if server := call.text("page-server"):
        address, _, port = server.rpartition(":")
        if not address or not port.isdigit():
            raise RuntimeFailure("Use --page-server ADDRESS:PORT to specify page server", INVALID)
        options["ps"] = {"address": address.strip("[]"), "port": int(port)}
    return options
