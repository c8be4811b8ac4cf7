"""The parent's side of a start: from a spec to a child at its gate, and through it. Used by supervisor and verbs.

The caller has a single thread. `spawn` does not wait: the child's messages arrive on `Child.sync` (see `sync`).
"""

from __future__ import annotations

import contextlib
import os
import signal

from pydock_runtime import (
    abi,
    credentials,
    hooks,
    init,
    labels,
    linux,
    namespaces,
    netdevices,
    resctrl,
    rlimits,
    rootless,
    steps,
    sync,
    sysctl,
    usermaps,
)
from pydock_runtime import spec as specs
from pydock_runtime.errors import SYSTEM, RuntimeFailure, text
from pydock_runtime.rootfs import mapped, prepare, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, NoReturn, Protocol

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program

    class Learner(Protocol):
        """Who is to know what a child tells, see `known`."""

        def learn(self, told: dict[str, Any]) -> None:
            """Take it."""


class Child:
    """A started process; the holder closes `pidfd`, `sync` and `console`, and reaps the process."""

    __slots__ = ("cgroup", "console", "habit", "instead", "pid", "pidfd", "sync")

    def __init__(
        self, pid: int, pidfd: int, channel: socket.socket | None, cgroup: Cgroup, habit: Learner | None = None
    ) -> None:
        """`channel` None: it has nothing to say any more, and `sync` is not to be used.

        `habit` learns from what it says.
        """
        self.pid = pid
        self.pidfd = pidfd
        if channel is not None:
            self.sync = channel
        self.cgroup = cgroup
        self.habit = habit
        self.console: int | None = None
        self.instead: Callable[[], Child] | None = None
        """Of one that may turn out to be stale: makes another one. Raises RuntimeFailure, OSError."""


def spawn(
    spec: dict[str, Any],
    *,
    stdio: tuple[int, int, int] | None,
    overlay: dict[str, Any] | None,
    program: Program | None,
    cgroup: Cgroup,
    id: str = "",
    bundle: str = "/",
    gate: socket.socket | None = None,
    preserve: int = 0,
    keyring: bool = True,
    pivot: bool = True,
) -> Child:
    """Fork a container's init into its namespaces. RuntimeFailure: the spec is wrong; OSError: the kernel refuses.

    `stdio` None means a terminal. `overlay` is {"base", "lower", "upper", "work"}, or None for the folder `root.path`;
    in a user namespace its files have plain ids, and it may be {"folder"} as well (see `mapped`).
    The child joins `cgroup` itself. `gate` is a listening socket: the message that opens the gate then comes from who
    connects to it, not from us. `preserve` descriptors from 3 on stay open in the program. `keyring`: it gets a session
    keyring of its own. `pivot` False is for a host whose root is in its initial memory file system, see `prepare`.
    """
    specs.check(spec)
    plan = namespaces.Plan(spec)
    rootless.check(spec, plan)
    part = spec.get("linux", {})
    process = credentials.Process(spec["process"], program, preserve=preserve)
    process.take(part)
    _check(part, plan)
    rdt = part.get("intelRdt")
    share = resctrl.of(rdt, id)
    ours, theirs = sync.pair()
    with theirs, contextlib.ExitStack() as opened, contextlib.ExitStack() as undo:
        undo.enter_context(ours)
        if share is not None:
            undo.callback(resctrl.remove, id, rdt)
            share.make()
        work = init.Work(
            spec,
            bundle=bundle,
            overlay=overlay,
            cgroup=cgroup,
            plan=plan,
            process=process,
            state=hooks.state(spec, id=id, bundle=bundle),
            keyring=keyring,
            pivot=pivot,
            stdio=stdio,
        )
        for fd in work.entrances:
            opened.callback(os.close, fd)
        work.sync, work.gate = theirs, gate
        work.settles = work.settles or share is not None or bool(part.get("netDevices"))
        pid, pidfd = _fork(work)
        if work.settles:
            undo.callback(_kill, pidfd)
            _settle(work, pid, ours, share)
        undo.pop_all()
    return Child(pid, pidfd, ours, cgroup)


def _check(part: dict[str, Any], plan: namespaces.Plan) -> None:
    """Raise RuntimeFailure for what of the `linux` of a spec is wrong, or not to be had on this host."""
    sysctl.check(part.get("sysctl") or {}, plan)
    labels.check_mounts(part.get("mountLabel"))
    netdevices.check(part.get("netDevices") or {}, plan)


def _fork(work: init.Work) -> tuple[int, int]:
    if work.plan.needs_helper:
        return by_helper(lambda _: _fork_into(work))
    pid, pidfd = linux.clone3(work.plan.clone, exit_signal=signal.SIGCHLD)
    if pid == 0:
        init.main(work)
    return pid, pidfd


def _settle(work: init.Work, pid: int, channel: socket.socket, share: resctrl.Share | None) -> None:
    """Do for a child what only the host can do, and tell it that it can begin."""
    plan, spec, own = work.plan, work.spec, None
    if plan.user:
        if plan.owns("user"):
            usermaps.write(pid, spec["linux"]["uidMappings"], spec["linux"]["gidMappings"])
        work.cgroup.add(pid)
        steps.carry_out(credentials.score(work.process.oom_score_adj, str(pid)))
        rlimits.apply(work.process.limits, pid)
        own = f"/proc/{pid}/ns/user"
        if work.stdio is not None:
            usermaps.give(work.stdio, usermaps.root_of(pid))
    if share is not None:
        share.add(pid)
    devices = spec.get("linux", {}).get("netDevices")
    if devices:
        netdevices.move(devices, plan.path("network") or f"/proc/{pid}/ns/net")
    opened = sources.open_all(spec.get("mounts") or [], own)
    try:
        if own and work.overlay:
            opened[prepare.ROOT] = _mapped_root(work.overlay, pid, spec["linux"].get("mountLabel") or "")
        for number, tree in opened.items():
            sync.send(channel, {"source": number}, (tree,))
    finally:
        for tree in opened.values():
            os.close(tree)
    sync.send(channel, {"settled": True})


def _mapped_root(overlay: dict[str, Any], pid: int, label: str) -> int:
    """Return the root of a child in a user namespace, which is mounted for it; see `mapped`."""
    users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return mapped.open_root(overlay, users, usermaps.root_of(pid), label)
    finally:
        os.close(users)


def _kill(pidfd: int) -> None:
    """End a child that is not to begin; closes the descriptor."""
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | abi.WALL)
    os.close(pidfd)


def _fork_into(work: init.Work) -> int:
    """Fork into namespaces that count for the children only (pid), or have to be entered as the host's root."""
    work.plan.enter_before_fork()
    pid, _ = linux.clone3(work.plan.clone | abi.CLONE_PARENT, exit_signal=0)
    if pid == 0:
        init.main(work)
    return pid


def by_helper(fork: Callable[[socket.socket], int]) -> tuple[int, int]:
    """Let a helper process change its namespaces and fork a child of ours (CLONE_PARENT); return its (pid, pidfd).

    `fork` gets the helper's channel, which the child closes. It is not the child's own: what the child says first could
    overtake the helper, and a child whose pid we do not know is never reaped.
    """
    ear, mouth = sync.pair()
    with ear:
        helper, helper_pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
        if helper == 0:
            _help(mouth, fork)
        mouth.close()
        message, _ = sync.receive(ear)
        os.waitid(os.P_PIDFD, helper_pidfd, os.WEXITED)
        os.close(helper_pidfd)
    if message is None:
        raise RuntimeFailure("joining namespaces: the helper process died")
    if "error" in message:
        raise RuntimeFailure(message["error"]["message"], message["error"]["kind"])
    return message["pid"], linux.pidfd_open(message["pid"])


def _help(mouth: socket.socket, fork: Callable[[socket.socket], int]) -> NoReturn:
    try:
        # Where it goes there may be others, who could look at what it has from us.
        linux.prctl(abi.PR_SET_DUMPABLE, 0)
        sync.send(mouth, {"pid": fork(mouth)})
    except OSError as error:
        sync.report(mouth, SYSTEM, f"joining namespaces: {text(error)}")
    except BaseException as error:
        sync.report(mouth, SYSTEM, f"joining namespaces: {type(error).__name__}: {error}")
    os._exit(0)


def receive(child: Child) -> dict[str, Any] | None:
    """Return the child's next message, None when its program runs (or it died: ask the pidfd)."""
    try:
        message, console = sync.receive(child.sync)
    except ConnectionError:
        return None
    if console is not None:
        child.console = console
    return message


def go_on(child: Child) -> None:
    """Tell init that the hooks have been run for which it waits."""
    sync.send(child.sync, {"hooked": True})


def release(child: Child, interfaces: list[dict[str, Any]]) -> None:
    """Open the gate: the child configures these interfaces and runs the program."""
    sync.send(child.sync, {"interfaces": interfaces})
