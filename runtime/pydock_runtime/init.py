"""The story inside: what the forked child does, in order, until it is the user's program. Used by `launch` and `join`.

Nothing is imported from here on: after the root has changed, a file by that name could be the container's.
"""

from __future__ import annotations

import os

from pydock_runtime import (
    abi,
    credentials,
    hooks,
    linux,
    namespaces,
    netconf,
    steps,
    sync,
    sysctl,
    terminal,
    usermaps,
)
from pydock_runtime.errors import SYSTEM, RuntimeFailure, text
from pydock_runtime.rootfs import prepare, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn, Protocol

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.credentials import Process

    class Told(Protocol):
        """The work of a child that has somebody to talk to."""

        sync: socket.socket


FAILED = 1
NULL = os.makedev(1, 3)


class Work:
    """Everything the child needs, made by the parent before the fork."""

    __slots__ = (
        "bundle",
        "cgroup",
        "entrances",
        "gate",
        "keyring",
        "overlay",
        "pivot",
        "plan",
        "process",
        "settles",
        "spec",
        "state",
        "stdio",
        "sync",
    )

    sync: socket.socket
    gate: socket.socket | None

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        bundle: str,
        overlay: dict[str, Any] | None,
        cgroup: Cgroup,
        plan: namespaces.Plan,
        process: Process,
        state: dict[str, Any],
        keyring: bool,
        pivot: bool,
        stdio: tuple[int, int, int] | None,
    ) -> None:
        self.spec = spec
        # Whether the parent has something to do for the child before it can begin, see `launch`.
        self.settles = sources.needed(spec.get("mounts") or [], user=plan.user)
        self.state = state
        self.keyring = keyring
        self.pivot = pivot
        self.bundle = bundle
        self.overlay = overlay
        self.cgroup = cgroup
        # What is opened here is not looked for in the child, to which every page is new.
        self.entrances = [] if plan.user else cgroup.entrances()
        self.plan = plan
        self.process = process
        self.stdio = stdio


def main(work: Work) -> NoReturn:
    """Be the container's init."""
    run(work, lambda: _story(work))


def run(work: Told, story: Callable[[], NoReturn]) -> NoReturn:
    """Run a story that ends in exec; whatever goes wrong is told to who listens by then, and the process ends."""
    try:
        story()
    except RuntimeFailure as error:
        sync.report(work.sync, error.kind, error.message)
    except OSError as error:
        sync.report(work.sync, SYSTEM, f"container init: {text(error)}")
    except BaseException as error:
        # Whatever it is: a forked child must never return into its parent's code.
        sync.report(work.sync, SYSTEM, f"container init: {type(error).__name__}: {error}")
    os._exit(FAILED)


def _story(work: Work) -> NoReturn:
    spec, plan = work.spec, work.plan
    kept = (*(work.stdio or ()), *work.entrances)
    # While nobody else is in a new user namespace its maker must be able to write its maps, root or not.
    mapped = work.process.rootless and plan.owns("user")
    forget_parent(work.sync, work.gate, kept=kept, preserve=work.process.preserve, hide=not mapped)
    opened = _settled(work) if work.settles else {}
    if mapped:
        linux.prctl(abi.PR_SET_DUMPABLE, 0)
    if plan.user:
        usermaps.become_root(drop_groups=not work.process.groupless)
    else:
        join_cgroup(work.entrances)
        steps.carry_out(credentials.score(work.process.oom_score_adj))
        # In its cgroup, so a cgroup namespace made now has it as its root.
        for path, flag in plan.entered():
            namespaces.enter(path, flag)
    if plan.unshare:
        linux.unshare(plan.unshare)
    if plan.owns("time"):
        plan.set_clocks()
    os.setsid()
    if work.keyring:
        steps.carry_out(credentials.LEAVE_KEYRING)
    credentials.prepare(work.process, spec["process"], work.state, hooks.CREATING)
    # The modes that the spec and Docker name are meant as they stand.
    os.umask(0)
    if plan.owns("uts"):
        _name(spec)
    # By the host's /proc, which nobody in the container can have a hand in.
    sysctl.apply(spec.get("linux", {}).get("sysctl") or {})
    prepare.enter(
        spec,
        bundle=work.bundle,
        overlay=work.overlay,
        cgroup=work.cgroup,
        sources=opened,
        pivot=work.pivot,
        prepared=lambda: _prepared(work),
    )
    console = _stdio(work)
    if work.gate is not None and not os.path.dirname(work.process.args[0]):
        # `create` says already what there is not, as runc's does: engines tell that from a start that fails.
        work.process.search.find()
    channel = _gate(work, console)
    message = wait_for(channel, "interfaces")
    if plan.owns("network"):
        netconf.configure(message["interfaces"])
    # The root becomes read-only after the last thing that may have to be made in it.
    _make_cwd(work.process.cwd)
    prepare.seal(spec)
    last = hooks.of(spec, hooks.START_CONTAINER)
    credentials.become(work.process, lambda: hooks.run(last, work.state, hooks.CREATED, os.getpid()))


def _settled(work: Work) -> dict[int, int]:
    """Wait for what the parent does for us; return the sources of mounts that it sends."""
    opened: dict[int, int] = {}
    while True:
        message, fd = sync.receive(work.sync)
        if message is None:
            os._exit(FAILED)
        if "settled" in message:
            return opened
        opened[message["source"]] = -1 if fd is None else fd


def _prepared(work: Work) -> None:
    """Let the hooks be run that see a finished root, from the host's side and from ours."""
    if hooks.of(work.spec, *hooks.OUTSIDE):
        sync.send(work.sync, {"hooks": True})
        wait_for(work.sync, "hooked")
    hooks.run(hooks.of(work.spec, hooks.CREATE_CONTAINER), work.state, hooks.CREATING, os.getpid())


def forget_parent(
    *channels: socket.socket | None, kept: Sequence[int] = (), preserve: int = 0, hide: bool = True
) -> None:
    """Close what the parent had open, but for these, and keep others from looking into this process before it execs.

    Without it a container at its gate would hold the pipes and client connections of all the others open.
    """
    linux.prctl(abi.PR_SET_DUMPABLE, 0 if hide else 1)
    linux.close_all_but([*(channel.fileno() for channel in channels if channel), *kept, *range(3, 3 + preserve)])


def join_cgroup(entrances: Sequence[int]) -> None:
    """Move this process into a cgroup, and close what `Cgroup.entrances` has opened for it."""
    for fd in entrances:
        os.write(fd, b"0")
        os.close(fd)


def _gate(work: Work, console: int | None) -> socket.socket:
    """Tell the parent that all is ready; return the channel on which the word to go on will come."""
    sync.send(work.sync, {"ready": True}, (console,) if console is not None else ())
    if console is not None:
        os.close(console)
    if work.gate is None:
        return work.sync
    # From now on the one who starts the container listens, also to what goes wrong.
    work.sync.close()
    work.sync, _ = work.gate.accept()
    work.gate.close()
    return work.sync


def wait_for(channel: socket.socket, key: str) -> dict[str, Any]:
    """Return the parent's message; when the parent has gone, this process goes too."""
    message, _ = sync.receive(channel)
    if message is None or key not in message:
        os._exit(FAILED)
    return message


def _make_cwd(path: str) -> None:
    """Make the working directory when the image has none, as Docker does."""
    if os.path.isdir(path):
        return
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError:
        # Its use decides: `become` enters it, and says what is wrong.
        return


def _name(spec: dict[str, Any]) -> None:
    if spec.get("hostname"):
        linux.set_host_name(spec["hostname"])
    if spec.get("domainname"):
        linux.set_domain_name(spec["domainname"])


def _stdio(work: Work) -> int | None:
    """Set descriptors 0 to 2; with a terminal return its master, for the parent."""
    if work.stdio is not None:
        set_stdio(work.stdio)
        _own_null()
        return None
    master, slave = terminal.open_pair(work.spec["process"].get("consoleSize"))
    terminal.show_console(slave)
    terminal.adopt(slave)
    return master


def _own_null() -> None:
    """Put the container's /dev/null in the place of the host's, as runc does: a file of the host cannot be restored."""
    theirs = [fd for fd in (0, 1, 2) if os.fstat(fd).st_rdev == NULL]
    if not theirs:
        return
    try:
        own = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # An image that has something else there, or nothing: the host's does as well.
        return
    if os.fstat(own).st_rdev == NULL:
        for fd in theirs:
            os.dup2(own, fd)
    os.close(own)


def set_stdio(stdio: tuple[int, int, int]) -> None:
    """Make three descriptors stdin, stdout and stderr."""
    for number, fd in enumerate(stdio):
        os.dup2(fd, number)
