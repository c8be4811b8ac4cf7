"""`restore`: a container from a checkpoint, running where it was; and waiting for it, or with --detach leaving it."""

from __future__ import annotations

from pydock_runtime import console, container, launch, state
from pydock_runtime.arguments import SWITCH, TEXT, Call, Flag
from pydock_runtime.checkpoint import restore
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.verbs import checkpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = "ID"
SEALED = True
FLAGS = (
    *checkpoint.COMMON,
    Flag("bundle", TEXT, "folder with config.json (default: here)", "b"),
    Flag("console-socket", TEXT, "socket that is sent the terminal's master"),
    Flag("pid-file", TEXT, "file to which init's pid is written"),
    Flag("detach", SWITCH, "do not wait for its end", "d"),
    Flag("no-subreaper", SWITCH, "accepted for callers of runc: we never reap others' orphans"),
    Flag("no-pivot", SWITCH, "not supported: criu pivots"),
    Flag("lsm-profile", TEXT, "another label for the processes, as apparmor:NAME or selinux:LABEL"),
    Flag("lsm-mount-context", TEXT, "another SELinux context for mounts"),
)


def run(call: Call) -> int:
    """Restore the container; without --detach the result is its exit code."""
    console.check(call)
    if call.has("no-pivot"):
        raise RuntimeFailure("--no-pivot is not supported: criu pivots", INVALID)
    wanted = {**checkpoint.common_options(call), **{name.replace("-", "_"): call.text(name) for name in restore.LABELS}}
    record, child = _make(call, {name: value for name, value in wanted.items() if value != ""})
    try:
        console.hand_over(call, child, waits=not call.has("detach"))
        container.write_pid_file(call.text("pid-file"), child.pid)
        if call.has("detach"):
            return 0
        with console.attended(child):
            code = console.relay(child)
    except BaseException:
        container.destroy(record)
        raise
    container.destroy(record)
    return code


def _make(call: Call, wanted: dict[str, Any]) -> tuple[state.Record, launch.Child]:
    bundle = call.text("bundle") or "."
    with container.making(call.root, call.id(), bundle, systemd=call.systemd) as (record, made, undo):
        with restore.rooted(record.spec, record.bundle) as root, checkpoint.folders(call, record.spec) as where:
            child = restore.restore(
                record.spec,
                made,
                where,
                wanted,
                root=root,
                prepared=lambda pid: _run_hooks(record, pid),
            )
        undo.callback(container.kill, child)
        record.pid = child.pid
    return record, child


def _run_hooks(record: state.Record, pid: int) -> list[dict[str, Any]]:
    """Run the hooks, to which the network is left."""
    container.run_creating_hooks(record, pid)
    return []
