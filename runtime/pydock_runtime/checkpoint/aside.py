"""Checkpoint and restore beside the supervisor's loop, in helpers: criu takes its time. Used by the supervisor.

A restore speaks `sync`'s language as a helper of another runtime does: {"pid": n} is init, {"ready": true} its gate, at
which it has its namespaces and nothing in them. What then opens the gate lets criu go on. {"running": true} is the end
of it, with the master of a terminal. A checkpoint says {"done": true}.
"""

from __future__ import annotations

import os
import signal

from pydock_runtime import foreign, hooks, init, sync
from pydock_runtime.checkpoint import dump, restore
from pydock_runtime.checkpoint.folders import Folders

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from pydock_runtime import launch
    from pydock_runtime.cgroup import Cgroup

DEADLINE = 600  # seconds; a helper that is later is ended by SIGALRM
SOFT = dump.cgroup_options("soft")


def begin_dump(
    spec: dict[str, Any], cgroup: Cgroup, pid: int, *, images: str, work: str, leave_running: bool
) -> launch.Child:
    """Begin to write the processes of a container; the child is the helper that does it."""

    def story(channel: socket.socket) -> None:
        signal.alarm(DEADLINE)
        _null()
        with Folders(images, work, spec.get("annotations") or {}) as folders:
            wanted = {**SOFT, "file_locks": True, "leave_running": leave_running}
            dump.dump(spec, cgroup, pid, folders, wanted, root=spec["root"].get("path") or "/", first=False)
        sync.send(channel, {"done": True})

    return foreign.fork(story, None, cgroup)


def begin_restore(
    spec: dict[str, Any],
    cgroup: Cgroup,
    *,
    stdio: tuple[int, int, int] | None,
    overlay: dict[str, Any] | None,
    images: str,
    work: str,
) -> launch.Child:
    """Begin to restore a container; the child is the helper until that says whose pid it is."""

    def story(channel: socket.socket) -> None:
        signal.alarm(DEADLINE)
        _null()
        if stdio:
            init.set_stdio(stdio)
            for fd in stdio:
                os.close(fd)

        def prepared(pid: int) -> list[dict[str, Any]]:
            sync.send(channel, {"pid": pid})
            if hooks.of(spec, *hooks.OUTSIDE):
                sync.send(channel, {"hooks": True})
                init.wait_for(channel, "hooked")
            sync.send(channel, {"ready": True})
            signal.alarm(0)
            interfaces: list[dict[str, Any]] = init.wait_for(channel, "interfaces")["interfaces"]
            signal.alarm(DEADLINE)
            return interfaces

        with (
            restore.rooted(spec, "/", overlay) as root,
            Folders(images, work, spec.get("annotations") or {}) as folders,
        ):
            wanted = {**SOFT, "file_locks": True}
            made = restore.restore(spec, cgroup, folders, wanted, root=root, prepared=prepared, sibling=True)
        sync.send(channel, {"running": True}, () if made.console is None else (made.console,))

    return foreign.fork(story, stdio, cgroup)


def _null() -> None:
    """Have nothing of the supervisor's as stdin, stdout and stderr."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    init.set_stdio((null, null, null))
    os.close(null)
