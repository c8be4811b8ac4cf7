"""The OCI runtimes behind one interface: our own, whose start is a fork, and others, which are called. Used by service.

The first container of another runtime makes the supervisor a subreaper: when the runtime's program ends, what it has
made becomes the supervisor's child, and so does every other orphan among its descendants. `Strays` waits for those.
"""

from __future__ import annotations

import contextlib
import functools
import os
from select import EPOLLIN

from pydock_runtime import abi, foreign, join, launch, linux, resctrl
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.known import Known
from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.forks import Forks, Regular
from pydock_runtime.supervisor.processes import Process
from pydock_runtime.supervisor.protocol import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.known import Habit
    from pydock_runtime.seccomp import Program
    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.containers import Container
    from pydock_runtime.supervisor.forks import Asked
    from pydock_runtime.supervisor.poller import Poller
    from pydock_runtime.supervisor.processes import Owner
    from pydock_runtime.supervisor.stdio import Stdio

    Ends = tuple[int, int, int] | None

    class Runtime(Protocol):
        """What a container needs of a runtime."""

        @property
        def settings(self) -> dict[str, Any] | None:
            """What finds it again; None for our own."""

        def process(self, poller: Poller, owner: Owner, name: str | None, stdio: Stdio, *, stdin: bool) -> Process:
            """Return the object that watches over a process of this runtime."""

        def create(
            self,
            spec: dict[str, Any],
            *,
            stdio: Ends,
            overlay: dict[str, Any] | None,
            program: Program | None,
            cgroup: Cgroup,
            id: str,
        ) -> launch.Child:
            """Begin the container. Raises RuntimeFailure, OSError."""

        def exec(
            self, pid: int, process: dict[str, Any], *, stdio: Ends, program: Program | None, cgroup: Cgroup
        ) -> launch.Child:
            """Begin a further process. Raises RuntimeFailure, OSError."""

        def delete(self, container: str, deleted: Callable[[], None]) -> None:
            """Forget the container, which has ended; call `deleted` then."""


SWEEP_EVERY = 5.0  # seconds between two looks for orphans; a zombie costs the host nothing but its number


class Own:
    """Our own runtime, for one container."""

    settings: dict[str, Any] | None = None
    process = Process
    create = staticmethod(launch.spawn)

    def __init__(self, forks: Forks) -> None:
        self._forks = forks
        self._known = Known()
        self._regular: Regular | None = None
        self._unfit: Habit | None = None
        """What the forker cannot make."""

    def exec(
        self, pid: int, process: dict[str, Any], *, stdio: Ends, program: Program | None, cgroup: Cgroup
    ) -> launch.Child:
        """Begin a further process; one that is asked for again and again is the forker's."""
        ourselves = functools.partial(
            join.spawn_exec, pid, process, stdio=stdio, program=program, cgroup=cgroup, known=self._known
        )
        regular = self._find(pid, (process, program), cgroup) if stdio is not None else None
        if regular is None or stdio is None:
            return ourselves()
        child = self._forks.again(regular, cgroup, stdio)
        if child is None:
            self._forget()
            return ourselves()
        child.instead = lambda: self._instead(child, ourselves)
        return child

    def _find(self, pid: int, asked: Asked, cgroup: Cgroup) -> Regular | None:
        """Return what the forker makes such a process from, once it has one and knows enough of it."""
        regular = self._regular
        regularly, lately = regular is not None and regular.is_it(asked), self._known.was_last(*asked)
        if not (regularly or lately) or not self._forks.wanted():
            return None
        if regular is not None and regularly and regular.lives:
            return regular
        habit = self._known.last
        if not lately or habit is None or habit.again is None or habit is self._unfit:
            return None
        self._forget()
        self._regular = self._forks.regular(pid, asked, habit, cgroup)
        if self._regular is None and self._forks.there:
            self._unfit = habit
        return self._regular

    def _instead(self, stale: launch.Child, ourselves: Callable[[], launch.Child]) -> launch.Child:
        """Make another one of a child that has found things changed."""
        self._forget()
        self._forks.wait_for(stale.pidfd, "stale process")
        return ourselves()

    def _forget(self) -> None:
        if self._regular is not None:
            self._regular.forget()
            self._regular = None

    def delete(self, container: str, deleted: Callable[[], None]) -> None:
        """Remove what it had of resctrl and of the forker; nothing else of it is anywhere."""
        self._forget()
        try:
            resctrl.remove(container)
        except OSError as error:
            note(f"resctrl of {container}: {error}")
        deleted()


class Strays:
    """Children that belong to no container: helpers, and orphans of what runtimes have made."""

    __slots__ = ("_awaited", "_busy", "_poller", "_sweeping", "helpers")

    helpers: dict[int, tuple[str, Callable[[], None] | None]]
    """By their pidfd: what it is, and what is to be done when it has ended."""

    def __init__(self, poller: Poller, awaited: Callable[[], set[int]]) -> None:
        """`awaited` returns the pids whose end others wait for."""
        self._poller = poller
        self._awaited = awaited
        self._busy = 0
        self._sweeping = False
        self.helpers = {}

    def sweep(self) -> None:
        """Look for orphans from now on, which come to us."""
        if not self._sweeping:
            self._sweeping = True
            self._poller.after(SWEEP_EVERY, self._sweep)

    def expect(self) -> None:
        """A runtime is about to be called. From here on orphans come to us; none is waited for until `done`."""
        linux.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)
        self.sweep()
        self._busy += 1

    def done(self) -> None:
        """What the runtime has made is known now, or there will be none."""
        self._busy -= 1

    def wait_for(self, pidfd: int, what: str, then: Callable[[], None] | None = None) -> None:
        """Own the pidfd of a helper until it has ended, then call `then`; a failure is noted."""

        def ended(_events: int) -> None:
            self._poller.forget(pidfd)
            del self.helpers[pidfd]
            try:
                result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | abi.WALL)
            except ChildProcessError:
                result = None  # the sweep came first
            os.close(pidfd)
            if result is not None and result.si_status != 0:
                note(f"{what}: ended with status {result.si_status}")
            if then is not None:
                then()

        self.helpers[pidfd] = (what, then)
        self._poller.watch(pidfd, EPOLLIN, ended)

    def _sweep(self) -> None:
        self._poller.after(SWEEP_EVERY, self._sweep)
        if self._busy:
            return  # one of them may be the process whose pid is not told yet
        awaited = self._awaited()
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | abi.WALL)
            except ChildProcessError:
                return
            if found is None or found.si_pid in awaited:
                return  # one that is awaited hides those behind it until it is reaped: next time
            os.waitid(os.P_PID, found.si_pid, os.WEXITED | abi.WALL)


class Other:
    """Another OCI runtime, for one container."""

    __slots__ = ("_program", "_strays", "settings")

    settings: dict[str, Any] | None

    def __init__(self, program: foreign.Runtime, settings: dict[str, Any], strays: Strays) -> None:
        self._program = program
        self._strays = strays
        self.settings = settings

    def process(self, poller: Poller, owner: Owner, name: str | None, stdio: Stdio, *, stdin: bool) -> Process:
        """Return the object that watches over a process of this runtime."""
        return ForeignProcess(poller, owner, name, stdio, stdin=stdin, strays=self._strays)

    def create(
        self,
        spec: dict[str, Any],
        *,
        stdio: Ends,
        overlay: dict[str, Any] | None,
        program: Program | None,
        cgroup: Cgroup,
        id: str,
    ) -> launch.Child:
        """Begin the container; its seccomp profile is in the spec, where the runtime looks for it. `id` it knows."""
        return self._expecting(lambda: self._program.create(spec, stdio=stdio, overlay=overlay, cgroup=cgroup))

    def exec(
        self, pid: int, process: dict[str, Any], *, stdio: Ends, program: Program | None, cgroup: Cgroup
    ) -> launch.Child:
        """Begin a further process, under the container's own seccomp profile."""
        return self._expecting(lambda: self._program.exec(pid, process, stdio=stdio, cgroup=cgroup))

    def delete(self, container: str, deleted: Callable[[], None]) -> None:
        """Let the runtime forget the container, in a helper; call `deleted` when that one has ended."""
        what = f"{self._program.name} delete {self._program.container}"
        self._strays.wait_for(self._program.delete(), what, deleted)

    def _expecting(self, begin: Callable[[], launch.Child]) -> launch.Child:
        self._strays.expect()
        try:
            return begin()
        except BaseException:
            self._strays.done()
            raise


class ForeignProcess(Process):
    """A process that a runtime makes: its helper's until the pid is told, ours from then on."""

    __slots__ = ("_dead", "_strays", "_told")

    def __init__(
        self, poller: Poller, owner: Owner, name: str | None, stdio: Stdio, *, stdin: bool, strays: Strays
    ) -> None:
        super().__init__(poller, owner, name, stdio, stdin=stdin)
        self._strays = strays
        self._dead = self._told = False

    def _heard(self, message: dict[str, Any] | None) -> None:
        if message is not None and "pid" in message:
            self._take(message["pid"])
            if "ready" not in message:
                return
        super()._heard(message)
        if self._dead and not self._sync_open:
            self._dead = False
            self._on_dead(0)

    def restore(self, saved: dict[str, Any], cgroup: Cgroup | None) -> None:
        """Go on where another object was: its pid is known."""
        self._told = True
        super().restore(saved, cgroup)

    def _take(self, pid: int) -> None:
        self._poller.forget(self.child.pidfd)
        self._strays.wait_for(self.child.pidfd, "helper of a runtime")
        self.child.pid, self.child.pidfd = pid, linux.pidfd_open(pid)
        self._poller.watch(self.child.pidfd, EPOLLIN, self._on_dead)
        self._settle()

    def _settle(self) -> None:
        if not self._told:
            self._told = True
            self._strays.done()

    def _on_dead(self, events: int) -> None:
        if self._sync_open and self.failure is None:
            # The helper may have something to say yet, and must not be waited for here.
            self._poller.forget(self.child.pidfd)
            self._dead = True
            return
        super()._on_dead(events)
        self._settle()


class Runtimes:
    """Finds the runtime of a container by the settings that pydockd sends."""

    __slots__ = ("_exec_root", "_forks", "_poller", "_strays")

    def __init__(self, exec_root: str, poller: Poller, awaited: Callable[[], set[int]]) -> None:
        self._exec_root = exec_root
        self._poller = poller
        self._strays = Strays(poller, awaited)
        self._forks = Forks(poller, self._strays.wait_for, self._strays.sweep)

    def of(self, container: str, settings: dict[str, Any] | None, restore: dict[str, str] | None = None) -> Runtime:
        """Return the runtime of a container; `settings` is {"name", "path", "args"}, None for our own.

        With `restore`, {"images", "work"}, it begins from the checkpoint there.
        """
        if restore is not None:
            if settings is not None:
                raise RuntimeFailure("checkpoints need pydock's own runtime", INVALID)
            from pydock_runtime.supervisor.checkpoints import Restoring  # who has none does not pay for it

            return Restoring(self._strays, self._forks, restore)
        if settings is None:
            return Own(self._forks)
        return Other(foreign.Runtime(settings, self._exec_root, container), settings, self._strays)

    def checkpoint(self, container: Container, request: Request) -> None:
        """Write a running container to files; answered when they are there."""
        from pydock_runtime.supervisor import checkpoints  # who has none does not pay for it

        checkpoints.begin(self._poller, self._strays, container, request)

    @property
    def busy(self) -> bool:
        """Whether a helper is at work."""
        return bool(self._strays.helpers)

    @property
    def settled(self) -> bool:
        """Whether no more is to be done for a helper than to wait for it."""
        return all(then is None for _, then in self._strays.helpers.values())

    def saved(self) -> list[list[Any]]:
        """Return what `restore` goes on with: helpers of containers that are created or start."""
        return [[Fd(pidfd), what] for pidfd, (what, _) in self._strays.helpers.items()]

    def restore(self, saved: list[list[Any]]) -> None:
        """Go on where another object was, and wait for children that nobody knows: begun before this program."""
        for pidfd, what in saved:
            self._strays.wait_for(pidfd, what)
        self._strays.sweep()

    def close(self) -> None:
        """End the forker and remove the folders, the last thing before the end; what a runtime has left stays."""
        self._forks.close()
        folders = [os.path.join(self._exec_root, name) for name in (foreign.ROOTS, foreign.BUNDLES)]
        for folder in folders:
            with contextlib.suppress(OSError):
                for name in os.listdir(folder):
                    with contextlib.suppress(OSError):
                        os.rmdir(os.path.join(folder, name))
                os.rmdir(folder)
