"""The table of operations that pydockd may ask for, and the list of containers; made by loop."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
from select import EPOLLIN

from pydock_runtime import __version__, seccomp
from pydock_runtime import cgroup as cgroups
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.supervisor import adopt, holding, protocol, reports
from pydock_runtime.supervisor.connection import Connection, Refused, Request
from pydock_runtime.supervisor.containers import Container
from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.processes import EXITED, GATED, PREPARING
from pydock_runtime.supervisor.records import Records
from pydock_runtime.supervisor.runtimes import Runtimes
from pydock_runtime.supervisor.upgrade import Upgrade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program
    from pydock_runtime.supervisor.poller import Poller

LONELY = 2.0  # seconds without a pydockd and without containers, after which there is no reason to stay
COLLECT_EVERY = 200  # containers buried between two garbage collections, which happen in idle moments only
REMOVE_RETRIES = 12  # of a cgroup that is not empty yet; the pause doubles from REMOVE_PAUSE, 40 s in all
REMOVE_PAUSE = 0.01
SETTLE = 5.0  # seconds for a pydockd to come after the supervisor before this one was killed
HELPERS_PAUSE = 0.05  # seconds between two looks whether the last helper of another runtime is done


class Service:
    """Everything the supervisor knows; every method returns at once."""

    __slots__ = (
        "_buried",
        "_listener",
        "_parents",
        "_programs",
        "_remains",
        "_unsettled",
        "connections",
        "containers",
        "exec_root",
        "lock",
        "poller",
        "records",
        "resumed_at",
        "runtimes",
        "upgrading",
    )

    def __init__(self, poller: Poller, exec_root: str, listener: socket.socket, lock: int) -> None:
        self.poller = poller
        self.exec_root = exec_root
        self.lock = lock
        self.upgrading = False
        self.resumed_at = 0.0
        self.records = Records(exec_root)
        self.runtimes = Runtimes(exec_root, poller, self._awaited)
        self.containers: dict[str, Container] = {}
        self.connections: list[Connection] = []
        self._listener = listener
        self._programs: dict[str, Program] = {}
        self._remains: dict[str, Cgroup] = {}
        self._parents: set[str] = set()
        self._buried = 0
        self._unsettled: list[Callable[[], None]] = []
        poller.watch(listener.fileno(), EPOLLIN, self._on_connect)
        self._watch_loneliness()

    @property
    def busy(self) -> bool:
        """Whether a container lives here."""
        return any(container.init.alive for container in self.containers.values())

    def _awaited(self) -> set[int]:
        processes = [p for c in self.containers.values() for p in (c.init, *c.execs.values())]
        return {process.pid for process in processes if process.status != EXITED}

    def broadcast(self, event: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Tell every connected pydockd, with duplicates of descriptors."""
        for connection in tuple(self.connections):
            connection.send(event, fds)

    def forget(self, container: Container) -> None:
        """Strike a container off the list."""
        self.containers.pop(container.id, None)
        self._watch_loneliness()
        self._buried += 1
        if self._buried % COLLECT_EVERY == 0:
            self.poller.when_idle(_collect)

    def group(self, path: str) -> Cgroup:
        """Return an existing cgroup of a container; the one above it is ours as well."""
        self._parents.add(os.path.dirname(path))
        return cgroups.open_existing(path)

    def when_settled(self, action: Callable[[], None]) -> None:
        """Call `action` when a pydockd has given back what it holds of containers, or SETTLE seconds have passed."""
        if not self._unsettled:
            self.poller.after(SETTLE, self.settle)
        self._unsettled.append(action)

    def settle(self) -> None:
        """Go on with what waited for a pydockd."""
        actions, self._unsettled = self._unsettled, []
        for action in actions:
            action()

    def remove_cgroup(self, cgroup: Cgroup) -> None:
        """Remove it now or, killing what is in it, as soon as it is empty."""
        self._remains[cgroup.path] = cgroup
        self._remove(cgroup, 0)

    def _remove(self, cgroup: Cgroup, tries: int) -> None:
        if self._remains.get(cgroup.path) is not cgroup:
            return  # created anew meanwhile, for the next container of that name
        try:
            cgroup.remove()
        except OSError as error:
            if tries >= REMOVE_RETRIES:
                note(f"cgroup {cgroup.path}: {error}")
            else:
                cgroup.kill()
                self.poller.after(REMOVE_PAUSE * 2**tries, lambda: self._remove(cgroup, tries + 1))
                return
        del self._remains[cgroup.path]
        self._watch_loneliness()

    def close(self) -> None:
        """Remove what was made for all containers, the last thing before the end; what is in use stays."""
        self.runtimes.close()
        for path in self._parents - {"/"}:
            with contextlib.suppress(OSError):
                cgroups.open_existing(path).remove()

    def _on_connect(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # gone again before it was accepted
        self.accept(sock)

    def accept(self, sock: socket.socket) -> Connection:
        """Serve a connection."""
        connection = Connection(self.poller, sock, self._on_request, self._on_close)
        self.connections.append(connection)
        return connection

    @property
    def settled(self) -> bool:
        """Whether nothing is under way; what can be left to the future is in `saved`."""
        under_way = self._unsettled or not self.poller.idle
        return (
            self.runtimes.settled and not under_way and all(container.settled for container in self.containers.values())
        )

    def hold(self, *, held: bool) -> None:
        """Take no requests, or take them again: they wait meanwhile."""
        self.poller.forget(self._listener.fileno())
        if not held:
            self.poller.watch(self._listener.fileno(), EPOLLIN, self._on_connect)
        for connection in self.connections:
            connection.hold(held=held)

    def saved(self) -> dict[str, Any]:
        """Return what is true of all containers, for `restore`."""
        return {
            "listener": protocol.Fd(self._listener.fileno()),
            "programs": {digest: program.saved() for digest, program in self._programs.items()},
            "parents": sorted(self._parents),
            "remains": sorted(self._remains),
            "helpers": self.runtimes.saved(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where another service was."""
        self._programs.update({name: seccomp.restored(program) for name, program in saved["programs"].items()})
        self._parents.update(saved["parents"])
        for path in saved["remains"]:
            self.remove_cgroup(cgroups.open_existing(path))
        self.runtimes.restore(saved.get("helpers") or [])

    def _on_close(self, connection: Connection) -> None:
        self.connections.remove(connection)
        for container in tuple(self.containers.values()):
            if container.creator is connection and container.init.status in (PREPARING, GATED):
                container.kill("pydockd has gone")
        self._watch_loneliness()

    def _watch_loneliness(self) -> None:
        if not self.connections:
            self.poller.after(LONELY, self._leave_if_lonely)

    def _leave_if_lonely(self) -> None:
        if not self.connections and not self.containers and not self._remains:
            self._stop()

    def _stop(self) -> None:
        if self.runtimes.busy:
            self.poller.after(HELPERS_PAUSE, self._stop)
        else:
            self.poller.stop()

    def _on_request(self, request: Request) -> None:
        operation = OPERATIONS.get(request.op)
        try:
            if request.fields.get("sent", self.resumed_at) < self.resumed_at - protocol.STALE and request.op != "hello":
                raise Refused(protocol.SYSTEM, f"{request.op}: given up while the supervisor was stopped")
            if operation is None:
                raise Refused(protocol.INVALID, f"no such operation: {request.op}")
            operation(self, request)
        except Refused as error:
            request.refuse(error.kind, error.message)
        except RuntimeFailure as error:
            request.refuse(error.kind, error.message)
        except OSError as error:
            request.refuse(protocol.SYSTEM, _text(error))
        except (KeyError, TypeError, ValueError) as error:
            request.refuse(protocol.INVALID, f"{request.op}: {type(error).__name__}: {error}")
        else:
            return
        request.close_fds()

    def _container(self, request: Request) -> Container:
        container = self.containers.get(request.fields["container"])
        if container is None:
            raise Refused(protocol.NOT_FOUND, f"no such container: {request.fields['container']}")
        return container

    def _program(self, fields: dict[str, Any]) -> Program | None:
        """Return the compiled profile; pydockd sends a profile once a connection, and its digest from then on."""
        wanted = fields.get("seccomp")
        if wanted is None:
            return None
        program = self._programs.get(wanted["digest"])
        if program is None:
            if "profile" not in wanted:
                raise Refused(protocol.INVALID, f"unknown seccomp profile {wanted['digest']}")
            program = self._programs[wanted["digest"]] = seccomp.compile_profile(wanted["profile"])
        return program

    # The operations.

    def hello(self, request: Request) -> None:
        containers = [reports.line(container) for container in self.containers.values()]
        request.answer(
            {"pid": os.getpid(), "version": protocol.VERSION, "release": __version__, "containers": containers}
        )
        for container in self.containers.values():
            holding.give(container, request.connection)
        self.settle()

    def rejoin(self, request: Request) -> None:
        adopt.rejoin(self, request)
        request.close_fds()

    def create(self, request: Request) -> None:
        fields = request.fields
        name: str = fields["container"]
        if name in self.containers:
            raise Refused(protocol.CONFLICT, f"container {name} exists")
        if not name or "/" in name or name.startswith("."):
            raise Refused(protocol.INVALID, f"not a container id: {name!r}")
        program = self._program(fields)
        runtime = self.runtimes.of(name, fields.get("runtime"), fields.get("restore"))
        path = fields["cgroup"]["path"]
        self._remains.pop(path, None)
        resources = fields["spec"].get("linux", {}).get("resources") or {}
        cgroup = cgroups.create(path, resources)
        self._parents.add(os.path.dirname(path))
        container = Container(self, name, request.connection, cgroup, runtime)
        try:
            container.create(request, program=program)
        except BaseException:
            self.remove_cgroup(cgroup)
            raise
        self.containers[name] = container

    def start(self, request: Request) -> None:
        self._container(request).start(request)

    def attach(self, request: Request) -> None:
        self._container(request).attach(request)
        request.answer({})

    def exec(self, request: Request) -> None:
        self._container(request).exec(request, program=self._program(request.fields))

    def signal(self, request: Request) -> None:
        self._container(request).signal(request)
        request.answer({})

    def resize(self, request: Request) -> None:
        process = self._container(request).process(request)
        if not process.alive or not process.stdio.tty:
            raise Refused(protocol.CONFLICT, f"container {request.fields['container']} has no terminal")
        process.stdio.resize(int(request.fields["width"]), int(request.fields["height"]))
        request.answer({})

    def pause(self, request: Request) -> None:
        self._container(request).pause(request)

    def resume(self, request: Request) -> None:
        self._container(request).resume(request)

    def update(self, request: Request) -> None:
        self._container(request).update(request.fields["resources"])
        request.answer({})

    def configure(self, request: Request) -> None:
        self._container(request).configure(request.fields["interfaces"])
        request.answer({})

    def keep(self, request: Request) -> None:
        self._container(request).kept.take(request)
        request.answer({})

    def kept(self, request: Request) -> None:
        self._container(request).kept.give(request)

    def checkpoint(self, request: Request) -> None:
        self.runtimes.checkpoint(self._container(request), request)

    def delete(self, request: Request) -> None:
        if request.fields.get("force") and request.fields["container"] not in self.containers:
            if "cgroup" in request.fields:
                # Started by a supervisor that was killed before it could write that down.
                self.remove_cgroup(self.group(request.fields["cgroup"]))
            request.answer({})  # what was asked for is so: nothing of it is left
        else:
            self._container(request).delete(request)

    def upgrade(self, request: Request) -> None:
        if self.upgrading:
            raise Refused(protocol.CONFLICT, "an upgrade is under way")
        Upgrade(self, request).begin()
        self.upgrading = True

    def shutdown(self, request: Request) -> None:
        if self.busy:
            raise Refused(protocol.CONFLICT, "containers are running")
        request.answer({})
        self._stop()


OPERATIONS: dict[str, Callable[[Service, Request], None]] = {
    "hello": Service.hello,
    "rejoin": Service.rejoin,
    "create": Service.create,
    "start": Service.start,
    "attach": Service.attach,
    "exec": Service.exec,
    "signal": Service.signal,
    "resize": Service.resize,
    "pause": Service.pause,
    "resume": Service.resume,
    "update": Service.update,
    "configure": Service.configure,
    "keep": Service.keep,
    "kept": Service.kept,
    "checkpoint": Service.checkpoint,
    "delete": Service.delete,
    "shutdown": Service.shutdown,
    "upgrade": Service.upgrade,
}


def _text(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _collect() -> None:
    gc.collect()
