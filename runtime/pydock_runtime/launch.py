"""The parent's side of a start: from a spec to a child that stands at its gate, and through it. Used by the supervisor and
the verbs.

The caller has a single thread. `spawn` does not wait: the child's messages arrive on `Child.sync` (see `sync`).
"""

from __future__ import annotations

import os
import signal

from pydock_runtime import abi, credentials, init, linux, namespaces, sync, sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from pydock_runtime.cgroup import Cgroup


class Child:
    """A started process; the holder closes `pidfd`, `sync` and `console`, and reaps the process."""

    __slots__ = ("cgroup", "console", "pid", "pidfd", "sync")

    def __init__(self, pid: int, pidfd: int, channel: socket.socket, cgroup: Cgroup) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sync = channel
        self.cgroup = cgroup
        self.console: int | None = None


def spawn(
    spec: dict[str, Any],
    *,
    id: str,
    stdio: tuple[int, int, int] | None,
    overlay: dict[str, Any] | None,
    program: bytes | None,
    cgroup: Cgroup,
    bundle: str = "/",
) -> Child:
    """Fork a container's init into its namespaces and cgroup; RuntimeFailure when the spec is wrong, OSError when the kernel
    refuses.

    `stdio` None means a terminal. `overlay` is {"base", "lower", "upper", "work"}, or None for the folder `root.path`.
    """
    plan = namespaces.Plan(spec)
    process = credentials.Process(spec["process"], program)
    sysctl.check(spec.get("linux", {}).get("sysctl") or {}, plan)
    ours, theirs = sync.pair()
    work = init.Work(
        spec, bundle=bundle, overlay=overlay, cgroup=cgroup, plan=plan, process=process, stdio=stdio, sync=theirs
    )
    try:
        if plan.pid_path:
            pid, pidfd = _spawn_into(plan.pid_path, ours, theirs, work)
        else:
            pid, pidfd = linux.clone3(plan.clone, exit_signal=signal.SIGCHLD)
            if pid == 0:
                init.main(work)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    child = Child(pid, pidfd, ours, cgroup)
    admit(child)
    return child


def _spawn_into(path: str, ours: socket.socket, theirs: socket.socket, work: init.Work) -> tuple[int, int]:
    """Fork into an existing pid namespace: through a process that enters it, because entering counts for children only."""
    helper, helper_pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
    if helper == 0:
        _helper(path, theirs, work)
    os.close(helper_pidfd)
    return adopt(helper, ours)


def _helper(path: str, theirs: socket.socket, work: init.Work) -> None:
    try:
        namespaces.enter(path, abi.CLONE_NEWPID)
        pid, _ = linux.clone3(work.plan.clone | abi.CLONE_PARENT, exit_signal=0)
    except OSError as error:
        init.report(theirs, "system", f"joining {path}: {error.strerror}")
        os._exit(1)
    if pid == 0:
        init.main(work)
    sync.send(theirs, {"pid": pid})
    os._exit(0)


def adopt(helper: int, ours: socket.socket) -> tuple[int, int]:
    """Take over the child that a helper process made for us (CLONE_PARENT): reap the helper, return (pid, pidfd)."""
    message, _ = sync.receive(ours)
    os.waitpid(helper, 0)
    if message is None or "pid" not in message:
        reason = message["error"]["message"] if message else "helper process died"
        raise OSError(0, reason)
    return message["pid"], linux.pidfd_open(message["pid"])


def admit(child: Child) -> None:
    """Put the child into its cgroup and let it go on; a child that cannot be is not left behind."""
    try:
        child.cgroup.add(child.pid)
        sync.send(child.sync, {"go": True})
    except OSError:
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | 0x40000000)
        os.close(child.pidfd)
        child.sync.close()
        raise


def receive(child: Child) -> dict[str, Any] | None:
    """Return the child's next message, None when its program runs (or it died: ask the pidfd)."""
    try:
        message, console = sync.receive(child.sync)
    except ConnectionError:
        return None
    if console is not None:
        child.console = console
    return message


def release(child: Child, interfaces: list[dict[str, Any]]) -> None:
    """Open the gate: the child configures these interfaces and runs the program."""
    sync.send(child.sync, {"interfaces": interfaces})
