"""Further processes in a running container. Used by api.exec.

As in Docker an exec is made first and started once; it lives in memory, at most as long as its container.
Health checks `run` theirs, which are forgotten when they end.
"""

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydock_daemon.values import OWN_RUNTIME
from pydock_shared import names
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError, Unavailable
from pydock_shared.wire.exec import ExecCreate

from . import capabilities, links, seccomp
from .model import Attachment, Container, Status
from .service import Containers
from .spec import rlimits
from .start import environment, replaced

UNKNOWN_CODE = 255
"""The exit code of one whose end nobody saw."""
OWN_WORDS = ("unable to find ", "uids and gids ", "OCI runtime ")
MOST = 4000
"""Execs that are kept, of all containers together; Docker forgets a finished one after some minutes."""


@dataclass
class Exec:
    """One further process: what was asked, and how it stands."""

    id: str
    container: Container
    asked: ExecCreate
    tty: bool
    detach_keys: tuple[int, ...]
    started: bool = False
    running: bool = False
    pid: int = 0
    exit_code: int | None = None
    run: int = field(default=0)
    """When the container's run began, so that the exec of an earlier run is known as such."""
    begun_at: int = 0
    """When the supervisor said that it runs."""
    end: asyncio.Future[dict[str, Any]] | None = None
    """Of one that was `run`: the supervisor's report of its end."""


class Execs:
    """The execs of all containers."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._by_id: dict[str, Exec] = {}

    def get(self, id_: str) -> Exec:
        """Return an exec by its id; NotFound with Docker's words."""
        found = self._by_id.get(id_)
        if found is None:
            matches = [item for key, item in self._by_id.items() if id_ and key.startswith(id_)]
            if len(matches) != 1:
                raise NotFound(f"No such exec instance: {id_}")
            found = matches[0]
        return found

    def of(self, container: Container) -> Iterator[Exec]:
        """Yield the execs of a container that run."""
        return (item for item in self._by_id.values() if item.container is container and item.running)

    def create(self, container: Container, asked: ExecCreate, detach_keys: tuple[int, ...]) -> Exec:
        """Register an exec; Conflict when the container does not run."""
        if not asked.cmd:
            raise InvalidArgument("No exec command specified")
        check_running(container)
        item = Exec(names.new_id(), container, asked, bool(asked.tty), detach_keys, run=container.state.started_at)
        self._make_room()
        self._by_id[item.id] = item
        self._publish(item, "exec_create")
        return item

    def _make_room(self) -> None:
        """Forget the older half of the execs that do not run when there are too many: a client asks soon, or never."""
        if len(self._by_id) >= MOST:
            idle = [key for key, item in self._by_id.items() if not item.running]
            for key in idle[: len(idle) // 2]:
                del self._by_id[key]

    def check_start(self, item: Exec) -> None:
        """Raise Conflict when the exec was started before or its container is gone."""
        if item.started:
            raise Conflict(
                f"Error: Exec command {item.id} {'is already running' if item.running else 'has already run'}"
            )
        check_running(item.container)

    async def start(
        self, item: Exec, attachment: Attachment | None, size: tuple[int, int] | None, *, leash: bool = False
    ) -> None:
        """Run it; with an attachment the client gets its streams. The socket stays the caller's.

        On a `leash` it is killed when the client goes.
        """
        self.check_start(item)
        item.started = item.running = True
        streams = attachment and {
            "stdin": attachment.stdin,
            "stdout": attachment.stdout,
            "stderr": attachment.stderr,
            "multiplexed": attachment.multiplexed,
            "detach_keys": list(attachment.detach_keys),
            "leash": leash,
        }
        process, profile = self._process(item, size)
        self._publish(item, "exec_start")
        request = {
            "process": process,
            "tty": item.tty,
            "stdin": bool(attachment and attachment.stdin),
            "attach": streams,
        }
        await self._begin(item, request, profile, [attachment.socket.fileno()] if attachment else [])

    async def run(self, container: Container, asked: ExecCreate, *, capture: int) -> Exec:
        """Run a command; its `end` gives the exit code and the first `capture` bytes of output, or Unavailable."""
        with self._containers.store.transaction():  # one for both events
            item = self.create(container, asked, ())
            self._publish(item, "exec_start")
        item.started = item.running = True
        item.end = asyncio.get_running_loop().create_future()
        process, profile = self._process(item, None)
        try:
            await self._begin(item, {"process": process, "capture": capture}, profile, [])
        except BaseException:
            del self._by_id[item.id]
            raise
        return item

    async def _begin(
        self, item: Exec, request: dict[str, Any], profile: seccomp.Profile | None, fds: list[int]
    ) -> None:
        names_ = {"container": item.container.id, "exec": item.id}
        try:
            answer = await self._containers.supervisor.exec(names_ | request, profile, fds=fds)
        except (Unavailable, asyncio.CancelledError):
            # Who asked is told that it does not run: it must not run later either.
            self.kill(item)
            item.running, item.exit_code = False, 126
            raise
        except PydockError as error:
            item.running, item.exit_code = False, getattr(error, "exit_code", 126)
            error.message = _said(error.message)
            raise
        item.pid, item.begun_at = answer["pid"], time.time_ns()

    def _publish(self, item: Exec, action: str) -> None:
        """Publish an event that has the command in its name, as Docker writes it: program, space, arguments."""
        program, *arguments = item.asked.cmd or [""]
        self._containers.publish(item.container, f"{action}: {program} {' '.join(arguments)}", execID=item.id)

    async def signal(self, item: Exec, number: int) -> None:
        """Send a signal to an exec, SIGKILL to all processes of its group; Conflict when it does not run."""
        if not item.running:
            raise Conflict(f"exec {item.id} is not running")
        await self._containers.supervisor.request(
            "signal",
            container=item.container.id,
            exec=item.id,
            signal=number,
            group=number == signal.SIGKILL,
        )

    def kill(self, item: Exec) -> None:
        """Kill the processes of an exec; its end is reported as any other."""
        supervisor = self._containers.supervisor
        supervisor.post("signal", container=item.container.id, exec=item.id, signal=signal.SIGKILL, group=True)

    def lost(self) -> None:
        """Tell those who wait for an end that nobody will report it: the supervisor has gone."""
        for item in list(self._by_id.values()):
            if item.end is not None and not item.end.done():
                item.end.set_exception(Unavailable("the connection to the supervisor is lost"))
                item.end.exception()  # who gave up waiting need not look
                del self._by_id[item.id]

    def settle(self, hello: dict[str, Any]) -> None:
        """Note the ends that nobody could report: `hello` is what the supervisor knows, and since when."""
        known = {line["exec"]: line for entry in hello["containers"] for line in entry["execs"]}
        for item in list(self._by_id.values()):
            line = known.get(item.id)
            ended = line is None or line["code"] is not None
            if ended and item.running and item.end is None and 0 < item.begun_at < hello["asked_at"]:
                self.exited({"exec": item.id, "code": line["code"] if line else UNKNOWN_CODE})

    def exited(self, event: dict[str, Any]) -> None:
        """Note the end of an exec, as the supervisor reports it."""
        item = self._by_id.get(event["exec"])
        if item is None:
            return
        item.running, item.exit_code = False, event["code"]
        self._containers.publish(item.container, "exec_die", execID=item.id, exitCode=str(event["code"]))
        if item.end is not None:
            del self._by_id[item.id]
            if not item.end.done():
                item.end.set_result(event)

    def forget(self, container: Container) -> None:
        """Forget the execs of a container that is removed."""
        self._by_id = {key: item for key, item in self._by_id.items() if item.container is not container}

    def _process(self, item: Exec, size: tuple[int, int] | None) -> tuple[dict[str, Any], seccomp.Profile | None]:
        """Return the OCI process of an exec and its seccomp profile: those of the container, changed as asked."""
        asked, container, containers = item.asked, item.container, self._containers
        host, config = container.host, container.config
        privileged = bool(asked.privileged) or bool(host.privileged)
        held = capabilities.granted(
            host.cap_add, host.cap_drop, privileged=privileged, available=containers.capabilities
        )
        env = environment(container, links.environment(containers, container), tty=item.tty)
        user: dict[str, Any] = {"username": asked.user or config.user or "0"}
        if host.group_add:
            user["groups"] = host.group_add
        process: dict[str, Any] = {
            "terminal": item.tty,
            "user": user,
            "args": list(asked.cmd or ()),
            "env": replaced(env, asked.env),
            "cwd": asked.working_dir or config.working_dir or "/",
            "rlimits": rlimits(host),
            "noNewPrivileges": any(
                option in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true")
                for option in host.security_opt or ()
            ),
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), held)
            | {"inheritable": [], "ambient": []},
        }
        if size:
            process["consoleSize"] = {"height": size[0], "width": size[1]}
        if privileged or (host.runtime or OWN_RUNTIME) != OWN_RUNTIME:
            # Another runtime keeps to the profile that the container was created with.
            return process, None
        return process, seccomp.for_container(seccomp.option(host.security_opt), held)


def _said(message: str) -> str:
    """Return why a process was not run, in Docker's words: users are looked up by itself, the rest is its runtime's."""
    if message.startswith(OWN_WORDS):
        return message
    return f"OCI runtime exec failed: exec failed: unable to start container process: {message}"


def check_running(container: Container) -> None:
    """Raise Conflict with Docker's words when no process can be added to the container."""
    if container.state.status is Status.PAUSED:
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
    if container.state.status is Status.RESTARTING:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.alive:
        raise Conflict(f"container {container.id} is not running")
