"""A supervisor that starts where another one died without saying goodbye: what it can still know; called by loop.

The processes live on, and so do their records. The ends of their streams come back from a pydockd that held
duplicates of them (`rejoin`); where there is none their output is lost from there on, and a process that writes gets
SIGPIPE. Exit codes are learnt from /proc until init has reaped the process, and from then on by pidfd, which Linux from
6.15 on tells to others than the parent, if somebody had one open when it ended: pydockd had. An exec is known by what
pydockd has held of it alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import time
from select import EPOLLIN

from pydock_runtime import launch
from pydock_runtime.supervisor.containers import Container
from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.logs import Log, open_log
from pydock_runtime.supervisor.processes import DRAINING, EXITED, RUNNING, UNKNOWN_CODE, Process, start_time
from pydock_runtime.supervisor.protocol import PIDFD
from pydock_runtime.supervisor.records import EXIT, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.poller import Poller
    from pydock_runtime.supervisor.processes import Owner
    from pydock_runtime.supervisor.service import Service
    from pydock_runtime.supervisor.stdio import Stdio

REAP_PATIENCE = 5.0  # seconds for init to reap; afterwards the code is UNKNOWN_CODE
PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, struct pidfd_info) in its first version of 64 bytes
PIDFD_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=QQ11Ii")  # mask, cgroup id, pid, tgid, ppid, eight ids, exit status as wait(2) has it


def adopt(service: Service) -> None:
    """Put every container with a record on the service's list: exited ones to be told, living ones to be watched."""
    for name in service.records.containers():
        try:
            _adopt(service, name)
        except (OSError, KeyError, TypeError, ValueError) as error:
            note(f"records of {name} cannot be used: {type(error).__name__}: {error}")


def _adopt(service: Service, name: str) -> None:
    record, state = service.records.read(name, EXIT), service.records.read(name, STATE)
    known: dict[str, Any] = state or {}
    container = Container(service, name, None, None, service.runtimes.of(name, known.get("runtime")))
    container.recorded = True
    container.hooks.order = known.get("hooks")
    container.log = Log()
    if record is None and state is not None:
        container.log_options = known.get("log")
        container.log = _open_log(service, container)
    tty, once = bool(known.get("tty")), bool(known.get("stdin_once"))
    stdio = container.stdio(None, container.log, tty=tty, close_stdin=once)
    process = AdoptedProcess(service.poller, container, None, stdio, stdin=bool(known.get("stdin")))
    container.init = process
    if record is not None:
        process.resume_exited(record)
        container.oom = bool(record["oom"])
    elif state is not None:
        container.cgroup = service.group(state["cgroup"])
        container.pausing.paused = container.cgroup.frozen()
        process.resume_running(state, container.cgroup)
        container.watch_memory()
        service.when_settled(process.watch)
    else:
        service.records.remove(name)
        return
    service.containers[name] = container


def rejoin(service: Service, request: Request) -> None:
    """Give what pydockd has held, the streams and the process itself, to one whose supervisor has died."""
    container, name = service.containers.get(request.fields["container"]), request.fields.get("exec")
    if container is None:
        return
    process = container.init if name is None else container.execs.get(name)
    if process is None and name is not None:
        process = _adopt_exec(service, container, name, request.fields["process"])
    if process is not None and process.stranded:
        ends = {stream: request.take_fd() for stream in request.fields["streams"]}
        process.recognise(ends.pop(PIDFD, -1))
        process.stdio.rejoin(list(ends.items()), stdin=process.stdin)
        for client in request.fields.get("clients") or ():
            _attach(process, request, client)


def _attach(process: Process, request: Request, client: dict[str, Any]) -> None:
    keys, fd, unsent = bytes(client["keys"]), request.take_fd(), request.take_fd()
    attachment = process.stdio.attach(fd, frozenset(client["streams"]), framed=client["framed"], keys=keys)
    reading = client["reading"] and attachment.reads
    attachment.restore({**client, "reading": reading, "matched": 0, "unsent": unsent, "ending": False})
    if client["leash"]:
        process.leash(attachment)


def _adopt_exec(service: Service, container: Container, name: str, about: dict[str, Any]) -> Process | None:
    if container.cgroup is None or not container.init.adopted:
        return None  # it has ended, and so has what is asked for
    stdio = container.stdio(name, Log(), tty=about["tty"], close_stdin=True)
    process = AdoptedProcess(service.poller, container, name, stdio, stdin=about["stdin"])
    process.status, process.started_at = RUNNING, about["started_at"]
    process.child = launch.Child(about["pid"], -1, None, container.cgroup)
    container.execs[name] = process
    service.when_settled(process.watch)
    return process


def _open_log(service: Service, container: Container) -> Log:
    try:
        return open_log(container.log_options, service.poller)
    except (OSError, ValueError) as error:
        note(f"log of {container.id}: {error}")
        return Log()


class AdoptedProcess(Process):
    """An init or exec whose parent was the supervisor before us."""

    __slots__ = ("_impatient", "_told")
    adopted = True

    def __init__(self, poller: Poller, owner: Owner, name: str | None, stdio: Stdio, *, stdin: bool) -> None:
        super().__init__(poller, owner, name, stdio, stdin=stdin)
        self._impatient = False
        self._told: int | None = None

    def resume_exited(self, record: dict[str, Any]) -> None:
        """It ended while the old supervisor lived."""
        self.status = EXITED
        self.code = record["code"]
        self.started_at, self.finished_at = record["started_at"], record["finished_at"]

    def resume_running(self, state: dict[str, Any], cgroup: Cgroup) -> None:
        """Know it as running; `watch` says whether it still does."""
        self.started_at = state["started_at"]
        self.status = RUNNING
        pidfd = -1
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(state["pid"])
        if pidfd >= 0 and start_time(state["pid"]) != state["start_time"]:
            os.close(pidfd)  # its number is another process's by now
            pidfd = -1
        self.child = launch.Child(state["pid"], pidfd, None, cgroup)

    @property
    def stranded(self) -> bool:
        """Whether it runs and nobody has given us the ends of its streams."""
        return self.status == RUNNING and not self.stdio.ends()

    def recognise(self, pidfd: int) -> None:
        """Own the pidfd that pydockd has held: of a process that is gone it still tells the exit code."""
        if self.child.pidfd < 0:
            self.child.pidfd = pidfd
        elif pidfd >= 0:
            os.close(pidfd)

    def watch(self) -> None:
        """Watch it from now on; one that is dead ends with an unknown code, once its last output is read."""
        if self.child.pidfd >= 0:
            self._poller.watch(self.child.pidfd, EPOLLIN, self._on_end)
            return
        self.status = DRAINING
        self.code = UNKNOWN_CODE
        self.finished_at = time.time_ns()
        self._poller.when_idle(lambda: self.stdio.drain(self._drained))

    def send_signal(self, number: int, *, group: bool = False) -> None:
        """Signal it, if it still was there when we came."""
        if self.child.pidfd >= 0:
            super().send_signal(number, group=group)

    def _on_end(self, events: int) -> None:
        self._told = exit_code(self.child.pidfd)
        if self._told is None:
            self._told = code_of_dead(self.pid, self.child.pidfd)
        if events & EPOLLIN and self._told is None and not self._impatient:
            # Dead, and not reaped yet: the code is there when a HUP says so.
            self._poller.change(self.child.pidfd, 0)
            self._poller.after(REAP_PATIENCE, self._give_up)
        else:
            self._on_dead(events)

    def _give_up(self) -> None:
        if self.status == RUNNING:
            self._impatient = True
            self._on_dead(0)

    def _reap(self) -> int | None:
        code = exit_code(self.child.pidfd) if self._told is None else self._told
        return UNKNOWN_CODE if code is None else code


def exit_code(pidfd: int) -> int | None:
    """Return how a reaped process ended, as a shell says it (128 + signal); None: not told (yet, or by this kernel)."""
    info = bytearray(_INFO.size)
    _INFO.pack_into(info, 0, PIDFD_INFO_EXIT, *[0] * 13)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(info)
    return _as_shells_say(status) if mask & PIDFD_INFO_EXIT else None


def code_of_dead(pid: int, pidfd: int) -> int | None:
    """Return how a process ended that init has not reaped yet, by proc_pid_stat(5); None: reaped, or not to be seen."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.readlink(f"/proc/{pid}/ns/mnt")  # PermissionError: the status is shown to us as 0
        with open(f"/proc/{pid}/stat", "rb") as file:
            status = int(file.read().rpartition(b")")[2].split()[49])
        signal.pidfd_send_signal(pidfd, 0)  # it still has that number
    except (OSError, IndexError):
        return None
    return _as_shells_say(status)


def _as_shells_say(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
