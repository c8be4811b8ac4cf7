"""Containers written to files, and begun from there. Used by service and runtimes, loaded when it is first asked for.

criu does it, in a helper: the loop goes on meanwhile.
"""

from __future__ import annotations

from select import EPOLLIN

from pydock_runtime import launch
from pydock_runtime.checkpoint import aside
from pydock_runtime.supervisor import protocol
from pydock_runtime.supervisor.connection import Refused
from pydock_runtime.supervisor.processes import GATED, RUNNING, STARTING, Process
from pydock_runtime.supervisor.runtimes import ForeignProcess, Own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program
    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.containers import Container
    from pydock_runtime.supervisor.forks import Forks
    from pydock_runtime.supervisor.poller import Poller
    from pydock_runtime.supervisor.processes import Owner
    from pydock_runtime.supervisor.runtimes import Ends, Strays
    from pydock_runtime.supervisor.stdio import Stdio


def begin(poller: Poller, strays: Strays, container: Container, request: Request) -> None:
    """Write a running container to files; answered when they are there. Unless it goes on, init ends by SIGKILL."""
    fields = request.fields
    if container.init.status != RUNNING or container.cgroup is None:
        raise Refused(protocol.CONFLICT, f"container {container.id} is not running")
    if container.runtime.settings is not None:
        raise Refused(protocol.INVALID, "checkpoints need pydock's own runtime")
    leave_running = bool(fields.get("leave_running"))
    child = aside.begin_dump(
        fields["spec"],
        container.cgroup,
        container.init.pid,
        images=fields["images"],
        work=fields["work"],
        leave_running=leave_running,
    )

    def heard(_events: int) -> None:
        poller.forget(child.sync.fileno())
        message = launch.receive(child) or {}
        child.sync.close()
        if "done" not in message:
            error = message.get("error") or {"kind": protocol.SYSTEM, "message": "the checkpoint's helper died"}
            request.refuse(error["kind"], error["message"])
            return
        if not leave_running:
            container.pausing.let_go(container.cgroup)  # what is dead and frozen stays for ever
        request.answer({})

    poller.watch(child.sync.fileno(), EPOLLIN, heard)
    strays.wait_for(child.pidfd, f"checkpoint of {container.id}")


class Restoring:
    """Our own runtime, for a container that begins where a checkpoint was made."""

    __slots__ = ("_files", "_strays", "delete", "exec")

    settings: dict[str, Any] | None = None

    def __init__(self, strays: Strays, forks: Forks, files: dict[str, str]) -> None:
        """`files`: {"images", "work"}, the folders of the checkpoint and of criu's log."""
        own = Own(forks)
        self.exec, self.delete = own.exec, own.delete
        self._strays = strays
        self._files = files

    def process(self, poller: Poller, owner: Owner, name: str | None, stdio: Stdio, *, stdin: bool) -> Process:
        """Return the object that watches over a process."""
        if name is not None:
            return Process(poller, owner, name, stdio, stdin=stdin)
        return RestoringProcess(poller, owner, name, stdio, stdin=stdin, strays=self._strays)

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
        """Begin the container; the seccomp filters of its processes are in the checkpoint."""
        self._strays.expect()
        try:
            return aside.begin_restore(spec, cgroup, stdio=stdio, overlay=overlay, **self._files)
        except BaseException:
            self._strays.done()
            raise


class RestoringProcess(ForeignProcess):
    """An init that criu makes: the helper's until the pid is told, ours from then on. It runs when that says so."""

    _restored = False

    @property
    def settled(self) -> bool:
        """Whether it stays as it is: at its gate it does not, for criu waits there, and only this object knows how."""
        return super().settled and self.status != GATED

    def _heard(self, message: dict[str, Any] | None) -> None:
        if message is not None and "running" in message:
            self._restored = True
            if self.child.console is not None:
                self.stdio.open_console(self.child.console, stdin=self.stdin)
        elif message is None and self.status == STARTING and not self._restored:
            self.fail(protocol.SYSTEM, "the restore's helper died")
            super()._heard(None)
        else:
            super()._heard(message)
