"""A container as the supervisor sees it: init, execs, cgroup, log; from fork to exit record. Made by the service.

Owns the cgroup and the log. Whatever a failed create or start made is gone before its error is answered.
"""

from __future__ import annotations

import signal

from pydock_runtime import cgroup as cgroups
from pydock_runtime import join
from pydock_runtime import spec as specs
from pydock_runtime.supervisor import asked, holding, protocol, reports
from pydock_runtime.supervisor.attachments import STDERR, STDIN, STDOUT
from pydock_runtime.supervisor.connection import Refused
from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.hooked import Hooks
from pydock_runtime.supervisor.kept import Kept
from pydock_runtime.supervisor.logs import Capture, Log, open_log
from pydock_runtime.supervisor.ooms import Watch
from pydock_runtime.supervisor.pausing import Pausing
from pydock_runtime.supervisor.processes import EXITED, FAILED, GATED, RUNNING, Process
from pydock_runtime.supervisor.records import EXIT, STATE
from pydock_runtime.supervisor.stdio import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program
    from pydock_runtime.supervisor.connection import Connection, Request
    from pydock_runtime.supervisor.house import House
    from pydock_runtime.supervisor.runtimes import Runtime

FINISHED_EXECS = 16  # finished execs that hello still lists


class Container:
    """One container id from `create` to `delete`."""

    __slots__ = (
        "_deletions",
        "_ending",
        "_house",
        "_offers",
        "_waiting",
        "cgroup",
        "creator",
        "execs",
        "hooks",
        "id",
        "init",
        "kept",
        "log",
        "log_options",
        "memory",
        "oom",
        "oom_score_adj",
        "own_pids",
        "pausing",
        "recorded",
        "runtime",
    )

    def __init__(
        self, house: House, container: str, creator: Connection | None, cgroup: Cgroup | None, runtime: Runtime
    ) -> None:
        self._house = house
        self._offers = holding.Offers(house, self)
        self._deletions: list[Request] = []
        self.memory = Watch(house.poller, self._killed_for_memory)
        self._ending = False
        self._waiting: dict[str | None, Request] = {}
        self.oom_score_adj = 0
        self.own_pids = False
        self.id = container
        self.creator = creator
        self.cgroup = cgroup
        self.execs: dict[str, Process] = {}
        self.oom = False
        self.pausing = Pausing(house.poller)
        self.recorded = False
        self.runtime = runtime
        self.log_options: dict[str, Any] | None = None
        self.kept = Kept()
        self.hooks = Hooks(house.poller)

    # What pydockd asks.

    def create(self, request: Request, *, program: Program | None) -> None:
        """Fork init; answered when it stands at its gate. Raises OSError, ValueError, RuntimeFailure."""
        fields = request.fields
        tty, stdin = bool(fields.get("tty")), bool(fields.get("stdin"))
        spec = fields["spec"]
        # Never inherited: ours protects the supervisor from the OOM killer, and must not protect what it starts.
        self.oom_score_adj = spec["process"].setdefault("oomScoreAdj", 0)
        self.own_pids = specs.owns(spec, "pid")
        if self.runtime.settings is None:
            self.hooks.take(spec, self.id)
        self.log_options = fields.get("log")
        self.log = open_log(self.log_options, self._house.poller)
        stdio = self.stdio(None, self.log, tty=tty, close_stdin=bool(fields.get("stdin_once")))
        self.init = self.runtime.process(self._house.poller, self, None, stdio, stdin=stdin)
        try:
            child = self.runtime.create(
                spec,
                stdio=None if tty else stdio.open_pipes(stdin=stdin),
                overlay=fields.get("overlay"),
                program=program,
                cgroup=self._live_cgroup(),
                id=self.id,
            )
        except BaseException:
            stdio.close()
            self.log.close()
            raise
        self._waiting[None] = request
        self.init.begin(child)

    def start(self, request: Request) -> None:
        """Open the gate; answered when the program runs."""
        if self.init.status != GATED:
            raise Refused(protocol.CONFLICT, f"container {self.id} is {self.status}")
        self.kept.take(request)
        self._waiting[None] = request
        self.init.release(request.fields.get("interfaces") or [])

    def exec(self, request: Request, *, program: Program | None) -> None:
        """Run another program inside; answered when it runs. With `capture` its output comes with its exit event."""
        self._require_running()
        fields = request.fields
        name: str = fields["exec"]
        if name in self.execs:
            raise Refused(protocol.CONFLICT, f"exec {name} exists")
        tty, attach = bool(fields.get("tty")), fields.get("attach")
        capture = int(fields.get("capture") or 0)
        streams = asked.streams(attach) if attach else frozenset((STDOUT, STDERR) if capture else ())
        if attach and not request.fds:
            raise Refused(protocol.INVALID, "exec: a descriptor is missing")
        stdin = bool(fields.get("stdin")) and STDIN in streams
        log = Capture(capture) if capture else Log()
        stdio = self.stdio(name, log, tty=tty, close_stdin=True)
        process = self.runtime.process(self._house.poller, self, name, stdio, stdin=stdin)
        process.capture = log if isinstance(log, Capture) else None
        try:
            ends = None
            if not tty:
                ends = stdio.open_pipes(
                    stdin=stdin, stdout=STDOUT in streams, stderr=STDERR in streams, together=bool(capture)
                )
            child = self.runtime.exec(
                self.init.pid,
                {"oomScoreAdj": self.oom_score_adj, **fields["process"]},
                stdio=ends,
                cgroup=self._live_cgroup(),
                program=program,
            )
        except BaseException:
            stdio.close()
            raise
        self.execs[name] = process
        self._waiting[name] = request
        process.begin(child)
        if not tty:
            self._attach_exec(process)

    def attach(self, request: Request) -> None:
        """Give a client's connection to init or an exec."""
        process = self.process(request)
        if process.status == EXITED:
            raise Refused(protocol.CONFLICT, f"container {self.id} is {self.status}")
        asked.attach(process, request, request.fields)

    def pause(self, request: Request) -> None:
        """Freeze every process; answered when they are."""
        self._require_running()
        self.pausing.change(self._live_cgroup(), request, paused=True)

    def resume(self, request: Request) -> None:
        """Undo `pause`."""
        if not self.pausing.paused:
            raise Refused(protocol.CONFLICT, f"container {self.id} is not paused")
        self.pausing.change(self._live_cgroup(), request, paused=False)

    def update(self, resources: dict[str, Any]) -> None:
        """Change the limits. Raises OSError, RuntimeFailure."""
        cgroups.limit(self._live_cgroup(), resources)

    def configure(self, interfaces: list[dict[str, Any]]) -> None:
        """Configure interfaces of its network namespace, paused or not. Raises OSError, RuntimeFailure."""
        self._live_cgroup()
        join.configure(self.init.pid, interfaces)

    def signal(self, request: Request) -> None:
        """Signal init or an exec, with `group` its process group too.

        SIGKILL of init ends a pause: a frozen process of cgroup v1 dies only when it is thawed.
        """
        process = self.process(request)
        if not process.alive:
            raise Refused(protocol.CONFLICT, f"container {self.id} is not running")
        number = int(request.fields["signal"])
        process.send_signal(number, group=bool(request.fields.get("group")))
        if number == signal.SIGKILL and process is self.init:
            self.pausing.let_go(self.cgroup)

    def delete(self, request: Request) -> None:
        """Forget the container; with `force` kill it first. Answered when nothing of it is left."""
        if self._ending:
            self._deletions.append(request)
        elif self.init.status == EXITED:
            self._bury()
            request.answer({})
        elif request.fields.get("force"):
            self._deletions.append(request)
            self.kill("deleted")
        else:
            raise Refused(protocol.CONFLICT, f"container {self.id} is {self.status}")

    def kill(self, why: str) -> None:
        """Kill what there is; a container that never ran is undone."""
        self.init.fail(protocol.SYSTEM, why)
        self.init.send_signal(signal.SIGKILL)
        self.pausing.let_go(self.cgroup)

    def process(self, request: Request) -> Process:
        """Return the process a request means. Raises Refused."""
        return asked.process(self, request)

    @property
    def status(self) -> str:
        """The status hello reports."""
        return reports.status(self)

    @property
    def settled(self) -> bool:
        """Whether nothing is under way that would be lost with this object."""
        under_way = self._waiting or self._deletions or self._ending or self.hooks.running or self.pausing.busy
        return not under_way and all(process.settled for process in (self.init, *self.execs.values()))

    def resume_record(self) -> None:
        """Write the record of a running container that has none yet."""
        if self.init.status == RUNNING and not self.recorded:
            self._house.poller.after(holding.DELAY, self._record_state)

    # What the processes tell.

    def ready(self, process: Process) -> None:
        """Init is at its gate; or an exec's terminal is there."""
        if process.name is None:
            self._waiting.pop(None).answer({"pid": process.pid})
        else:
            self._attach_exec(process)

    def prepared(self, process: Process) -> None:
        """Init waits until hooks have been run."""
        self.hooks.run_outside(process)

    def died(self, process: Process) -> None:
        """It is dead. Where init is not pid 1 of a namespace of its own, the rest does not die with it."""
        if process.name is None and self.cgroup is not None and not self.own_pids:
            self.cgroup.kill()

    def executed(self, process: Process) -> None:
        """The program runs."""
        request = self._waiting.pop(process.name)
        if process.name is None:
            self.creator = None
            self.resume_record()
            self.hooks.run_started(self, request)
        else:
            request.close_fds()
            request.answer({"pid": process.pid, "started_at": process.started_at})
            self._house.poller.after(holding.DELAY, lambda: holding.offer(self._house, self, process.name))

    def failed(self, process: Process) -> None:
        """It never ran: undo, then answer."""
        if process.name is None:
            self.runtime.delete(self.id, lambda: self._undone(process))
        else:
            self._undone(process)

    def _undone(self, process: Process) -> None:
        request = self._waiting.pop(process.name, None)
        kind, message = process.failure or (protocol.SYSTEM, "failed")
        if process.name is not None:
            process.stdio.abandon_clients()
            del self.execs[process.name]
        else:
            process.stdio.end_clients()
            self.log.close()
            self._bury()
        if request is not None:
            request.close_fds()
            request.refuse(kind, message)
        self._answer_deletions()

    def exited(self, process: Process) -> None:
        """It has ended, and all its output is in the log and on its way to the clients."""
        if process.name is None:
            if self.cgroup is not None:
                self.memory.end(self.cgroup)
            # First, so that whoever learns of the exit can start a container of that name anew.
            self._ending = True
            self.runtime.delete(self.id, lambda: self._ended(process))
        else:
            self._ended(process)

    def _ended(self, process: Process) -> None:
        if process.name is None:
            self._init_exited()
        else:
            self._forget_finished(process)
        self._house.broadcast(reports.exit_event(self, process))
        process.stdio.end_clients()
        self._answer_deletions()

    def _forget_finished(self, process: Process) -> None:
        """Keep the last ones; nobody asks later for one whose output goes with its event: there is one each second."""
        finished = [name for name, other in self.execs.items() if other.status == EXITED]
        for name in [process.name] if process.capture is not None else finished[:-FINISHED_EXECS]:
            self.execs.pop(name or "", None)

    def _init_exited(self) -> None:
        self._ending = False
        self.kept.close()
        self.log.close()
        self.pausing.forget(f"container {self.id} is not running")
        self.recorded = True
        try:
            self._house.records.write(self.id, EXIT, reports.exit_event(self, self.init))
        except OSError as error:
            note(f"exit record of {self.id}: {error}")
        self._house.poller.when_idle(self._sweep)

    def _record_state(self) -> None:
        if self.init.status != RUNNING:
            return
        self.watch_memory()
        self.recorded = True
        self._house.records.write(self.id, STATE, reports.state(self))
        holding.offer(self._house, self, None)

    def watch_memory(self) -> None:
        """Tell of the OOM killer as it strikes; not from the start on: at the end of a short run it is counted."""
        if self.cgroup is not None:
            self.memory.begin(self.cgroup)

    def _killed_for_memory(self, kills: int) -> None:
        self.oom = self.oom or kills > 0
        self._house.broadcast({"event": "oom", "container": self.id, "kills": kills})

    def _sweep(self) -> None:
        cgroup, self.cgroup = self.cgroup, None
        if cgroup is not None:
            self._house.remove_cgroup(cgroup)

    def _bury(self) -> None:
        self._sweep()
        self.hooks.run_last()
        self.kept.close()
        if self.recorded:
            self._house.records.remove(self.id)
        self._house.forget(self)

    def _answer_deletions(self) -> None:
        if self._deletions and not self._ending and self.init.status in (EXITED, FAILED):
            self._bury()
            for request in self._deletions:
                request.answer({})
            self._deletions.clear()

    def stdio(self, name: str | None, log: Log, *, tty: bool, close_stdin: bool) -> Stdio:
        event = {"event": "detach", "container": self.id, "exec": name}
        house = self._house
        return Stdio(
            house.poller,
            log,
            tty=tty,
            close_stdin=close_stdin,
            on_detach=lambda: house.broadcast(event),
            on_clients=lambda: self._offers.changed(name),
        )

    def _attach_exec(self, process: Process) -> None:
        request = self._waiting[process.name]
        if request.fields.get("attach"):
            asked.attach(process, request, request.fields["attach"])

    def _live_cgroup(self) -> Cgroup:
        if self.cgroup is None:
            raise Refused(protocol.CONFLICT, f"container {self.id} is not running")
        return self.cgroup

    def _require_running(self) -> None:
        if self.status != RUNNING or not self.init.alive:
            raise Refused(protocol.CONFLICT, f"container {self.id} is {self.status}")
