"""A further process in a running container (`exec`). Used by the supervisor and the verb.

It is forked into the container's pid namespace, and enters the others itself. The caller has a single thread.
"""

from __future__ import annotations

import os
import signal

from pydock_runtime import (
    abi,
    credentials,
    hooks,
    init,
    interfaces,
    launch,
    linux,
    namespaces,
    resctrl,
    rlimits,
    scheduling,
    sync,
    terminal,
    usermaps,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program


class _Work:
    """What the helper and the process need, made by the parent before the fork."""

    __slots__ = ("entrances", "kinds", "process", "spec", "state", "stdio", "sync", "target")

    sync: socket.socket

    def __init__(
        self,
        pid: int,
        target: int,
        process: credentials.Process,
        *,
        spec: dict[str, Any],
        stdio: tuple[int, int, int] | None,
        cgroup: Cgroup,
        state: dict[str, Any],
    ) -> None:
        """What can be found out here is: in the child, to which every page is new, it costs many times as much."""
        self.target = target
        self.process = process
        self.spec = spec
        self.state = state
        self.stdio = stdio
        self.kinds = namespaces.of_process(pid)
        self.entrances = [*cgroup.entrances(pid), *resctrl.entrances(pid)]


def spawn_exec(
    pid: int,
    process: dict[str, Any],
    *,
    stdio: tuple[int, int, int] | None,
    cgroup: Cgroup,
    program: Program | None,
    preserve: int = 0,
    state: dict[str, Any] | None = None,
    part: dict[str, Any] | None = None,
) -> launch.Child:
    """Fork a process into the namespaces of process `pid` and into `cgroup`; RuntimeFailure, OSError when it cannot be.

    Messages as for `launch.spawn`, without a gate. `process` is complete in itself: nothing is taken from the
    container's own spec, so its `linux` (`part`) and `state` (for a seccomp listener) come with it.
    """
    target = linux.pidfd_open(pid)
    opened = [target]
    try:
        prepared = credentials.Process(process, program, preserve=preserve)
        prepared.take(part or {})
        work = _Work(pid, target, prepared, spec=process, stdio=stdio, cgroup=cgroup, state=state or {})
        opened += work.entrances
        ours, work.sync = sync.pair()
        try:
            new, pidfd = _fork_into_pids(work)
        except BaseException:
            ours.close()
            raise
        finally:
            work.sync.close()
    finally:
        for fd in opened:
            os.close(fd)
    return launch.Child(new, pidfd, ours, cgroup)


def _fork_into_pids(work: _Work) -> tuple[int, int]:
    """Fork a child into the pid namespace of the target: entering one counts for the children only, until we leave it.

    A helper that enters everything and forks would cost as much again as the process itself.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(work.target, abi.CLONE_NEWPID)
        try:
            pid, pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
        except BaseException:
            _return(home)
            raise
        if pid == 0:
            init.run(work, lambda: _story(work, home))
        _return(home)
    finally:
        os.close(home)
    return pid, pidfd


def _return(home: int) -> None:
    try:
        linux.setns(home, abi.CLONE_NEWPID)
    except OSError:
        # The next container would come to life inside this one. A new supervisor takes over the others.
        os.abort()


def _story(work: _Work, home: int) -> NoReturn:
    os.close(home)
    # Everything that is done by paths of the host comes before its namespaces are left.
    kept = (work.target, *work.entrances, *(work.stdio or ()))
    init.forget_parent(work.sync, kept=kept, preserve=work.process.preserve)
    credentials.score(work.process.oom_score_adj)
    scheduling.pin(work.process.scheduling.initial)
    credentials.prepare(work.process, work.spec, work.state, hooks.RUNNING)
    kinds = work.kinds
    if kinds & abi.CLONE_NEWUSER:
        # In there nobody can raise them any more.
        rlimits.apply(work.process.limits)
    linux.setns(work.target, kinds)
    os.close(work.target)
    if kinds & abi.CLONE_NEWUSER:
        usermaps.become_root()
    init.join_cgroup(work.entrances)
    scheduling.pin(work.process.scheduling.final)
    os.setsid()
    credentials.leave_keyring()
    if work.stdio is None:
        master, slave = terminal.open_pair(work.spec.get("consoleSize"))
        terminal.adopt(slave)
        sync.send(work.sync, {"ready": True}, (master,))
        os.close(master)
    else:
        init.set_stdio(work.stdio)
    credentials.become(work.process)


def configure(pid: int, wanted: list[dict[str, Any]]) -> None:
    """Configure interfaces in the network namespace of process `pid`, as `interfaces.configure` does.

    RuntimeFailure says which interface cannot be, OSError that the process has gone.
    """
    target = linux.pidfd_open(pid)
    try:
        interfaces.configure(target, wanted)
    finally:
        os.close(target)
