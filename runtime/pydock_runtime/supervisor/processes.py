"""One child of the supervisor, init or exec, from fork to reaped and drained; made and told apart by containers.

    preparing --ready--> gated --release--> starting --EOF on the sync socket--> running --dead--> draining --> exited
         `--------------------`---------------`--error, or dead before exec--> failing --reaped--> failed

An exec has no gate and is starting at once. The owner is told of each arrival: `prepared` (hooks are to be run),
`ready`, `executed`, `died`, `exited`, `failed`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from select import EPOLLIN

from pydock_runtime import launch
from pydock_runtime.errors import RuntimeFailure, text
from pydock_runtime.supervisor.protocol import SYSTEM, Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.supervisor.attachments import Attachment
    from pydock_runtime.supervisor.logs import Capture
    from pydock_runtime.supervisor.poller import Poller
    from pydock_runtime.supervisor.stdio import Stdio

    class Owner(Protocol):
        """What a process tells its container."""

        def ready(self, process: Process) -> None:
            """Init stands at its gate, or an exec's terminal is there."""

        def prepared(self, process: Process) -> None:
            """Init waits for the hooks that are run outside."""

        def executed(self, process: Process) -> None:
            """The user's program runs."""

        def died(self, process: Process) -> None:
            """It is dead; its output may not be complete yet."""

        def exited(self, process: Process) -> None:
            """It has ended and its output is complete."""

        def failed(self, process: Process) -> None:
            """It never ran, and is reaped; see `failure`."""


PREPARING, GATED, STARTING, RUNNING, DRAINING, EXITED, FAILING, FAILED = (
    "preparing",
    "created",
    "starting",
    "running",
    "draining",
    "exited",
    "failing",
    "failed",
)
UNBORN = (PREPARING, GATED, STARTING)
_WALL = 0x40000000  # __WALL: an exec's exit signal need not be SIGCHLD
UNKNOWN_CODE = 255


class Process:
    """Owns the child's pidfd and sync socket, and its stdio."""

    adopted = False
    """Whether it is no child of ours: a supervisor before us has started it."""

    __slots__ = (
        "_owner",
        "_poller",
        "_sync_open",
        "capture",
        "child",
        "code",
        "failure",
        "finished_at",
        "name",
        "started_at",
        "status",
        "stdin",
        "stdio",
    )

    def __init__(self, poller: Poller, owner: Owner, name: str | None, stdio: Stdio, *, stdin: bool) -> None:
        """`name` is the exec's id, None for init; `stdin`: whether the process has a stdin that can be attached to."""
        self._poller = poller
        self._owner = owner
        self._sync_open = False
        self.name = name
        self.stdio = stdio
        self.stdin = stdin
        self.status = PREPARING if name is None else STARTING
        self.code = UNKNOWN_CODE
        self.started_at = 0
        self.finished_at = 0
        self.failure: tuple[str, str] | None = None
        self.capture: Capture | None = None

    @property
    def pid(self) -> int:
        """The process id in the supervisor's namespace."""
        return self.child.pid

    @property
    def alive(self) -> bool:
        """Whether there is something a signal reaches."""
        return self.status in (*UNBORN, RUNNING, FAILING)

    @property
    def stranded(self) -> bool:
        """Whether it runs, and the ends of its streams are lost to us."""
        return False

    def recognise(self, pidfd: int) -> None:
        """Take what another supervisor has held, where it is worth more than what this one has."""

    def describe(self) -> dict[str, Any]:
        """Return the line of an exec in hello."""
        ended = self.status == EXITED
        return {
            "exec": self.name,
            "pid": self.pid if self.alive else 0,
            "status": EXITED if ended else RUNNING,
            "code": self.code if ended else None,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "tty": self.stdio.tty,
        }

    def begin(self, child: launch.Child) -> None:
        """Watch over a child that was just made."""
        self.child = child
        self._sync_open = True
        if child.instead is None:
            self.stdio.close_child_fds()  # otherwise another one may need them
        self._poller.watch(child.sync.fileno(), EPOLLIN, self._on_sync)
        self.watch()

    @property
    def settled(self) -> bool:
        """Whether it stays as it is until something happens."""
        return self.status in (GATED, RUNNING, EXITED)

    def saved(self) -> dict[str, Any]:
        """Return what `restore` goes on with; it has settled."""
        living = self.status != EXITED
        return {
            "name": self.name,
            "adopted": self.adopted,
            "stdin": self.stdin,
            "status": self.status,
            "code": self.code,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "pid": self.child.pid if living else 0,
            "pidfd": Fd(self.child.pidfd if living else -1),
            "sync": Fd(self.child.sync.fileno() if living and self._sync_open else -1),
            "capture": self.capture.limit if self.capture is not None else 0,
            "stdio": self.stdio.saved() if living else {"tty": self.stdio.tty, "close_stdin": self.stdio.close_stdin},
        }

    def restore(self, saved: dict[str, Any], cgroup: Cgroup | None) -> None:
        """Go on where another object was that watched over the same process."""
        self.status, self.code = saved["status"], saved["code"]
        self.started_at, self.finished_at = saved["started_at"], saved["finished_at"]
        if self.status != EXITED and cgroup is not None:
            self.child = launch.Child(saved["pid"], saved["pidfd"], None, cgroup)
            if saved["sync"] >= 0:
                self.child.sync = socket.socket(fileno=saved["sync"])
                self._sync_open = True
                self._poller.watch(saved["sync"], EPOLLIN, self._on_sync)
            self.watch()

    def watch(self) -> None:
        """Be told of its end from now on."""
        self._poller.watch(self.child.pidfd, EPOLLIN, self._on_dead)

    def go_on(self) -> None:
        """Tell init that its hooks have been run. Raises OSError."""
        launch.go_on(self.child)

    def release(self, interfaces: list[dict[str, Any]]) -> None:
        """Open init's gate. Raises OSError."""
        launch.release(self.child, interfaces)
        self.status = STARTING

    def send_signal(self, number: int, *, group: bool = False) -> None:
        """Signal it, with `group` the whole group that it leads; nothing happens once it is dead.

        Its pid cannot be another's meanwhile: we have not reaped it.
        """
        if not self.alive:
            return
        if number == signal.SIGKILL:
            self.child.instead = None  # no other one takes its place
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.child.pidfd, number)
        if group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def leash(self, attachment: Attachment) -> None:
        """Kill it with its group when a client goes by itself."""
        attachment.on_gone = lambda: self.send_signal(signal.SIGKILL, group=True)

    def fail(self, kind: str, message: str) -> None:
        """Give it up before it ran: kill it, and tell the owner once it is reaped."""
        if self.failure is None and self.status in UNBORN:
            self.failure = (kind, message)
            self.send_signal(signal.SIGKILL)
            self.status = FAILING

    def _on_sync(self, _events: int) -> None:
        self._heard(launch.receive(self.child))

    def _heard(self, message: dict[str, Any] | None) -> None:
        if message is None:
            self._close_sync()
            if self.status == STARTING:
                self._executed()
            else:
                self.fail(SYSTEM, "the container's init died before it ran the program")
        elif "error" in message:
            self.fail(message["error"]["kind"], message["error"]["message"])
        elif "hooks" in message:
            self._owner.prepared(self)
        elif "stale" in message:
            self._begin_again()
        elif "users" in message and self.child.habit is not None:
            self.child.habit.learn(message)
        elif self.failure is None:
            if self.child.console is not None:
                self.stdio.open_console(self.child.console, stdin=self.stdin)
            if self.name is None:
                self.status = GATED
            self._owner.ready(self)

    def _begin_again(self) -> None:
        """Watch over another child from now on: this one has found things changed, and ends."""
        if self.child.instead is None:
            self.fail(SYSTEM, "killed before it ran the program")
            return
        self._close_sync()
        self._poller.forget(self.child.pidfd)
        try:
            self.begin(self.child.instead())
        except RuntimeFailure as error:
            self._never_ran(error.kind, error.message)
        except OSError as error:
            self._never_ran(SYSTEM, text(error))

    def _never_ran(self, kind: str, message: str) -> None:
        self.failure = (kind, message)
        self.status = FAILED
        self.stdio.close()
        self._owner.failed(self)

    def _executed(self) -> None:
        self.stdio.close_child_fds()
        self.status = RUNNING
        self.started_at = time.time_ns()
        self.stdio.open_output()
        self._owner.executed(self)

    def _close_sync(self) -> None:
        if self._sync_open:
            self._sync_open = False
            self._poller.forget(self.child.sync.fileno())
            self.child.sync.close()

    def _on_dead(self, _events: int) -> None:
        child = self.child
        while child is self.child and self._sync_open and self.status in UNBORN:
            self._on_sync(EPOLLIN)  # what it said before it died comes first; its end of the socket is closed
        if child is not self.child or self.status == FAILED:
            return  # another one takes its place
        code = self._reap()
        if code is None:
            return
        self._close_sync()
        self._poller.forget(self.child.pidfd)
        os.close(self.child.pidfd)
        self.code = code
        self.finished_at = time.time_ns()
        if self.failure is not None:
            self.status = FAILED
            self.stdio.close()
            self._owner.failed(self)
        else:
            self.status = DRAINING
            self._owner.died(self)
            self.stdio.drain(self._drained)

    def _reap(self) -> int | None:
        result = os.waitid(os.P_PIDFD, self.child.pidfd, os.WEXITED | os.WNOHANG | _WALL)
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status

    def _drained(self) -> None:
        self.status = EXITED
        self.stdio.close()
        self._owner.exited(self)


def start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; with the pid it names a process for ever. 0: gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return 0
