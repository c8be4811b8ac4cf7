"""A further process in a running container (`exec`). Used by the supervisor and the verb.

A helper enters the container's namespaces and forks with CLONE_PARENT, so that the new process is in its pid namespace
and still our child.
"""

from __future__ import annotations

import os

from pydock_runtime import abi, credentials, init, launch, linux, namespaces, sync, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup


class _Work:
    """What the helper and the process need, made by the parent before the fork."""

    __slots__ = ("cgroup", "process", "size", "stdio", "sync", "target")

    sync: socket.socket

    def __init__(
        self,
        target: int,
        process: credentials.Process,
        *,
        size: dict[str, Any] | None,
        stdio: tuple[int, int, int] | None,
        cgroup: Cgroup,
    ) -> None:
        self.target = target
        self.process = process
        self.size = size
        self.stdio = stdio
        self.cgroup = cgroup


def spawn_exec(
    pid: int,
    process: dict[str, Any],
    *,
    stdio: tuple[int, int, int] | None,
    cgroup: Cgroup,
    program: bytes | None,
    preserve: int = 0,
) -> launch.Child:
    """Fork a process into the namespaces of process `pid` and into `cgroup`; RuntimeFailure, OSError when it cannot be.

    Messages as for `launch.spawn`, without a gate. `process` is complete in itself: nothing is taken from the
    container's own spec.
    """
    target = linux.pidfd_open(pid)
    try:
        work = _Work(
            target,
            credentials.Process(process, program, preserve=preserve),
            size=process.get("consoleSize"),
            stdio=stdio,
            cgroup=cgroup,
        )
        ours, work.sync = sync.pair()
        try:
            new, pidfd = launch.by_helper(lambda mouth: _fork_inside(work, mouth))
        except BaseException:
            ours.close()
            raise
        finally:
            work.sync.close()
    finally:
        os.close(target)
    return launch.Child(new, pidfd, ours, cgroup)


def _fork_inside(work: _Work, mouth: socket.socket) -> int:
    # Everything that is done by paths of the host comes before its namespaces are left.
    init.forget_parent(work.sync, mouth, stdio=(work.target, *(work.stdio or ())), preserve=work.process.preserve)
    credentials.score(work.process.oom_score_adj)
    # Only the process that stays goes through: in a cgroup at its limit the helper could keep us waiting for ever.
    entrances = work.cgroup.entrances()
    linux.setns(work.target, namespaces.JOINED)
    pid, _ = linux.clone3(abi.CLONE_PARENT, exit_signal=0)
    if pid == 0:
        mouth.close()
        init.run(work, lambda: _story(work, entrances))
    return pid


def _story(work: _Work, entrances: list[int]) -> NoReturn:
    os.close(work.target)
    for fd in entrances:
        os.write(fd, b"0")
        os.close(fd)
    os.setsid()
    if work.stdio is None:
        master, slave = terminal.open_pair(work.size)
        terminal.adopt(slave)
        sync.send(work.sync, {"ready": True}, (master,))
        os.close(master)
    else:
        init.set_stdio(work.stdio)
    credentials.become(work.process)
