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
    rootless,
    scheduling,
    steps,
    sync,
    terminal,
    usermaps,
)
from pydock_runtime import known as knowledge

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.known import Again, Known
    from pydock_runtime.seccomp import Program
    from pydock_runtime.steps import Step


class _Work:
    """What the process needs, made by the parent before the fork.

    What can be found out there is: in the child, to which every page is new, it costs many times as much.
    """

    __slots__ = ("again", "by_helper", "entering", "learns", "process", "size", "sync", "target", "terminal")

    again: Again | None

    def __init__(self, target: int, process: credentials.Process, entering: list[Step], channel: socket.socket) -> None:
        self.target = target
        self.process = process
        self.entering = entering
        self.sync = channel
        self.again = None
        self.learns = False
        self.terminal = False
        self.size: dict[str, Any] | None = None
        self.by_helper = 0


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
    known: Known | None = None,
) -> launch.Child:
    """Fork a process into the namespaces of process `pid` and into `cgroup`; RuntimeFailure, OSError when it cannot be.

    Messages as for `launch.spawn`, without a gate. `process` is complete in itself: nothing is taken from the
    container's own spec, so its `linux` (`part`) and `state` (for a seccomp listener) come with it. With
    `known` of the container the child begins with what is, and may say what is to be learnt; see there.
    """
    target = linux.pidfd_open(pid)
    opened = [target]
    try:
        habit = known.habit(process, program) if known is not None else None
        prepared = habit.process if habit else credentials.Process(process, program, preserve=preserve)
        prepared.take(part or {})
        opened += [*cgroup.entrances(pid), *resctrl.entrances(pid)]
        ours, theirs = sync.pair()
        try:
            kept = (theirs.fileno(), *opened, *(stdio or ()), *range(3, 3 + preserve))
            kinds = namespaces.of_process(pid)
            entering = [
                *_leaving(prepared, process, state or {}, kept),
                *_entering(prepared, kinds, opened, stdio),
                *steps.close_all_but((theirs.fileno(), *range(3, 3 + preserve))),
            ]
            work = _Work(target, prepared, entering, theirs)
            work.terminal, work.size = stdio is None, process.get("consoleSize")
            if rootless.limited():
                work.by_helper = kinds & abi.CLONE_NEWUSER | (abi.CLONE_NEWPID if namespaces.differs(pid, "pid") else 0)
            if habit and stdio is not None and _is_plain(prepared, process, kinds):
                work.learns, work.again = habit.repeated, habit.again
                if work.again is not None:
                    credentials.own(stdio, work.again.account)
            new, pidfd = _fork_into_pids(work)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
    finally:
        for fd in opened:
            os.close(fd)
    return launch.Child(new, pidfd, ours, cgroup, habit)


def _is_plain(process: credentials.Process, spec: dict[str, Any], kinds: int) -> bool:
    """Say whether a process is made of nothing but steps, with our numbers of users; others find out for themselves."""
    odd = process.personality is not None or process.memory_policy is not None or credentials.prepares(process, spec)
    return not odd and not kinds & abi.CLONE_NEWUSER


def _leaving(
    process: credentials.Process, spec: dict[str, Any], state: dict[str, Any], kept: tuple[int, ...]
) -> list[Step]:
    """Return what is done by paths of the host, before its namespaces are left."""
    found = [
        *credentials.score(process.oom_score_adj),
        steps.prctl(abi.PR_SET_DUMPABLE, 0),
        *steps.close_all_but(kept),
    ]
    if process.scheduling.initial is not None:
        found.append(steps.python(scheduling.pin, process.scheduling.initial))
    if credentials.prepares(process, spec):
        found.append(steps.python(credentials.prepare, process, spec, state, hooks.RUNNING))
    return found


def _entering(
    process: credentials.Process, kinds: int, opened: list[int], stdio: tuple[int, int, int] | None
) -> list[Step]:
    """Return how all but the pid namespace is entered; `opened` is its init and the entrances of the cgroup."""
    target, *entrances = opened
    # Such a helper has entered the container's users, see `_fork_in_users`.
    found = [steps.call("setns", target, kinds & ~abi.CLONE_NEWUSER if rootless.limited() else kinds)]
    if kinds & abi.CLONE_NEWUSER:
        # In there nobody can raise them any more.
        raised = steps.python(rlimits.apply, process.limits)
        found = [raised, *found, steps.python(lambda: usermaps.become_root(drop_groups=not process.groupless))]
    found += [steps.call("write", fd, b"0", 1) for fd in entrances]
    if process.scheduling.final is not None:
        found.append(steps.python(scheduling.pin, process.scheduling.final))
    found += [steps.call("setsid"), *credentials.LEAVE_KEYRING]
    found += [steps.call("dup2", fd, number) for number, fd in enumerate(stdio or ())]
    return found


def _fork_into_pids(work: _Work) -> tuple[int, int]:
    """Fork a child into the pid namespace of the target: entering one counts for the children only, until we leave it.

    A helper that enters everything and forks would cost as much again as the process itself.
    """
    if rootless.limited():
        return launch.by_helper(lambda _: _fork_in_users(work))
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    # What the child makes, frees or looks up on its way to its story is on pages that it has to copy.
    (_, fork, arguments, _), pidfd = steps.fork(signal.SIGCHLD)
    run, story, error = init.run, lambda: _story(work), None
    try:
        linux.setns(work.target, abi.CLONE_NEWPID)
        pid = fork(*arguments)
        if pid == 0:
            run(work, story)
        elif pid < 0:
            error = steps.failure("clone3")
        _return(home)
    finally:
        os.close(home)
    if error is not None:
        raise error
    return pid, pidfd.value


def _fork_in_users(work: _Work) -> int:
    """Fork into the pid namespace where the host's is out of reach: there is no way back, and users come first."""
    for flag in (abi.CLONE_NEWUSER, abi.CLONE_NEWPID):
        if work.by_helper & flag:
            linux.setns(work.target, flag)
    pid, _ = linux.clone3(abi.CLONE_PARENT, exit_signal=0)
    if pid == 0:
        init.run(work, lambda: _story(work))
    return pid


def _return(home: int) -> None:
    try:
        linux.setns(home, abi.CLONE_NEWPID)
    except OSError:
        # The next container would come to life inside this one. A new supervisor takes over the others.
        os.abort()


def _story(work: _Work) -> NoReturn:
    steps.carry_out(work.entering)
    again = work.again
    if again is not None and steps.all_hold(again.checks):
        steps.carry_out(again.steps)
        steps.succeeds(again.program)
        # It cannot be run after all, by this user: the words for that are found in the usual way.
        credentials.execute(work.process, again.environment)
    if work.learns:
        knowledge.tell(work.sync, work.process)
    if work.terminal:
        master, slave = terminal.open_pair(work.size)
        terminal.adopt(slave)
        sync.send(work.sync, {"ready": True}, (master,))
        os.close(master)
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
