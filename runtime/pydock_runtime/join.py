"""A further process in a running container (`exec`). Used by the supervisor and the verb.

It is forked into the container's pid namespace, and enters the others itself. The caller has a single thread.
"""

from __future__ import annotations

import copy
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
    packing,
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
    from pydock_runtime.known import Again, Habit, Known
    from pydock_runtime.seccomp import Program
    from pydock_runtime.steps import Step


class Entry:
    """The way into a container: descriptors of its init and of its cgroups, until `close`."""

    __slots__ = ("by_helper", "entrances", "kinds", "root", "target")

    def __init__(self, pid: int, cgroup: Cgroup) -> None:
        """`pid` is its init's. Raises OSError."""
        self.target = linux.pidfd_open(pid)
        try:
            self.entrances = [*cgroup.entrances(pid), *resctrl.entrances(pid)]
        except BaseException:
            os.close(self.target)
            raise
        self.kinds = namespaces.of_process(pid)
        self.root = usermaps.root_of(pid) if self.kinds & abi.CLONE_NEWUSER else None
        self.by_helper = 0
        if rootless.limited():
            pids = abi.CLONE_NEWPID if namespaces.differs(pid, "pid") else 0
            self.by_helper = self.kinds & abi.CLONE_NEWUSER | pids

    @property
    def fds(self) -> tuple[int, ...]:
        """All of them, the init's first."""
        return (self.target, *self.entrances)

    def numbered(self, first: int) -> Entry:
        """Return the same way as it is to a process in which the descriptors have the numbers from this one on."""
        found = copy.copy(self)
        found.target = first
        found.entrances = [first + index for index in range(1, len(self.fds))]
        return found

    def close(self) -> None:
        """Close them."""
        for fd in self.fds:
            os.close(fd)


class Work:
    """What the process needs, made by the parent before the fork.

    What can be found out there is: in the child, to which every page is new, it costs many times as much.
    """

    __slots__ = ("_habit", "again", "by_helper", "entering", "learns", "process", "size", "stdio", "sync", "target")

    again: Again | None

    def __init__(
        self,
        entry: Entry,
        spec: dict[str, Any],
        process: credentials.Process,
        stdio: tuple[int, int, int] | None,
        channel: socket.socket,
        *,
        state: dict[str, Any] | None = None,
        habit: Habit | None = None,
    ) -> None:
        """`process` is made from `spec`; `channel` is the child's end of one, and stays the caller's."""
        self.target = entry.target
        self.by_helper = entry.by_helper
        self.process = process
        self.stdio = stdio
        self.sync = channel
        self.size: dict[str, Any] | None = spec.get("consoleSize")
        self.learns, self.again = False, None
        self._habit = habit if stdio is not None and _is_plain(process, spec, entry.kinds) else None
        self.entering = _way(entry, spec, process, stdio, channel.fileno(), state or {})

    def remember(self) -> None:
        """Do as those before it did, as far as is known."""
        if self._habit is not None:
            self.learns, self.again = self._habit.repeated, self._habit.again
            if self.again is not None and self.again.account.uid and self.stdio is not None:
                credentials.own(self.stdio, self.again.account)


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
    habit = known.habit(process, program) if known is not None else None
    prepared = habit.process if habit else credentials.Process(process, program, preserve=preserve)
    prepared.take(part or {})
    entry = Entry(pid, cgroup)
    ours, theirs = sync.pair()
    with theirs:
        try:
            work = Work(entry, process, prepared, stdio, theirs, state=state, habit=habit)
            new, pidfd = _fork(work)
        except BaseException:
            ours.close()
            raise
        finally:
            entry.close()
    return launch.Child(new, pidfd, ours, cgroup, habit)


def packed(
    entry: Entry,
    spec: dict[str, Any],
    known: Habit,
    stdio: tuple[int, int, int],
    channel: int,
) -> bytes | None:
    """Return all that a process is made of that may be asked for again, once that is known; None when it is not.

    The numbers of descriptors, those of `entry` too, are those in the process that will fork it.
    """
    process, again = known.process, known.again
    if again is None or not _is_plain(process, spec, entry.kinds):
        return None
    way = _way(entry, spec, process, stdio, channel, {})
    return packing.packed(way, again.checks, [*again.steps, again.program])


def _is_plain(process: credentials.Process, spec: dict[str, Any], kinds: int) -> bool:
    """Say whether a process is made of nothing but steps, with our numbers of users; others find out for themselves."""
    odd = process.personality is not None or process.memory_policy is not None or credentials.prepares(process, spec)
    return not odd and not kinds & abi.CLONE_NEWUSER


def _way(
    entry: Entry,
    spec: dict[str, Any],
    process: credentials.Process,
    stdio: tuple[int, int, int] | None,
    channel: int,
    state: dict[str, Any],
) -> list[Step]:
    """Return what is done until it is inside."""
    preserved = range(3, 3 + process.preserve)
    return [
        *_leaving(process, spec, state, (channel, *entry.fds, *(stdio or ()), *preserved)),
        *_entering(process, entry, stdio),
        *steps.close_all_but((channel, *preserved)),
    ]


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


def _entering(process: credentials.Process, entry: Entry, stdio: tuple[int, int, int] | None) -> list[Step]:
    """Return how all but the pid namespace is entered."""
    kinds = entry.kinds
    # Such a helper has entered the container's users, see `_fork_in_users`.
    found = [steps.call("setns", entry.target, kinds & ~abi.CLONE_NEWUSER if rootless.limited() else kinds)]
    if kinds & abi.CLONE_NEWUSER:
        # In there nobody can raise them any more.
        raised = steps.python(rlimits.apply, process.limits)
        given = [steps.python(usermaps.give, stdio, entry.root)] if stdio and entry.root else []
        found = [raised, *given, *found, steps.python(lambda: usermaps.become_root(drop_groups=not process.groupless))]
    found += [steps.call("write", fd, b"0", 1) for fd in entry.entrances]
    if process.scheduling.final is not None:
        found.append(steps.python(scheduling.pin, process.scheduling.final))
    found += [steps.call("setsid"), *credentials.LEAVE_KEYRING]
    found += [steps.call("dup2", fd, number) for number, fd in enumerate(stdio or ())]
    return found


def _fork(work: Work) -> tuple[int, int]:
    """Fork a child into the pid namespace of the target: entering one counts for the children only, until we leave it.

    A helper that enters everything and forks would cost as much again as the process itself. Returns (pid, pidfd).
    """
    work.remember()
    if rootless.limited():
        return launch.by_helper(lambda _: _fork_in_users(work))
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    # What the child makes, frees or looks up on its way to its story is on pages that it has to copy.
    (_, clone, arguments, _), pidfd = steps.fork(0, signal.SIGCHLD)
    run, story, error = init.run, lambda: _story(work), None
    try:
        linux.setns(work.target, abi.CLONE_NEWPID)
        pid = clone(*arguments)
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


def _fork_in_users(work: Work) -> int:
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


def _story(work: Work) -> NoReturn:
    steps.carry_out(work.entering)
    again = work.again
    if again is not None and steps.all_hold(again.checks):
        steps.carry_out(again.steps)
        steps.succeeds(again.program)
        # It cannot be run after all, by this user: the words for that are found in the usual way.
        credentials.execute(work.process, again.environment)
    if work.learns:
        knowledge.tell(work.sync, work.process)
    if work.stdio is None:
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
