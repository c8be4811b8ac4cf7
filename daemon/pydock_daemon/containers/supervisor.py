"""pydockd's end of the connection to pydock-supervisor; one object, made by app, used by every container operation.

No tasks and no threads on the way of a request: it is sent from the caller, its answer is a future that the event
loop's reader sets. When the connection breaks, what was asked fails with Unavailable, and a task connects again,
starting a new supervisor when none answers; `on_hello` is then given what that one knows, for reconcile. It is given
that as well when requests that were given up (see `answers`) are answered after all.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydock_runtime
from pydock_runtime import rlimits
from pydock_runtime.supervisor import protocol
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError, Unavailable

from .answers import LONGEST, Answers
from .held import Held, Key
from .seccomp import Profile

log = logging.getLogger("pydockd.supervisor")

PATIENCE = 5.0  # seconds for a new supervisor to answer
POLL = 0.005
CATCH_UP = 0.02  # seconds from a late answer to the question what there is now
MOST_UNSENT = 1000  # messages that wait for a supervisor that reads none
RETRIES = (0.01, 0.1, 0.5)  # seconds between attempts to connect again; the last one goes on
SAFE_ENV = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR")


class StartError(PydockError):
    """The program could not be run; `exit_code` is what a shell would say: 127 not found, 126 not executable."""

    status = 400

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


ERRORS: dict[str, Callable[[str], PydockError]] = {
    protocol.NOT_FOUND: NotFound,
    protocol.CONFLICT: Conflict,
    protocol.INVALID: InvalidArgument,
    protocol.EXEC_NOT_FOUND: lambda message: StartError(message, 127),
    protocol.EXEC_DENIED: lambda message: StartError(message, 126),
}


class Supervisor:
    """The one supervisor of an exec root. Set the callbacks before `connect`; they are called on the event loop."""

    def __init__(self, exec_root: Path) -> None:
        self.on_exit: Callable[[dict[str, Any]], None] = _ignore
        self.on_detach: Callable[[dict[str, Any]], None] = _ignore
        self.on_oom: Callable[[dict[str, Any]], None] = _ignore
        self.on_hello: Callable[[dict[str, Any]], None] = _ignore
        self.on_lost: Callable[[], None] = lambda: None
        self.pid = 0
        self._exec_root = exec_root
        self._sock: socket.socket | None = None
        self._decoder = protocol.Decoder()
        self._numbers = itertools.count(1)
        self._answers = Answers()
        self._held = Held()
        self._unsent: deque[tuple[memoryview, list[int]]] = deque()
        self._profiles: set[str] = set()
        self._reconnecting: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._closed = False

    async def connect(self) -> dict[str, Any]:
        """Connect, starting the supervisor if none answers; returns its hello. Raises Unavailable after 5 seconds."""
        try:
            return await self._connect()
        except Unavailable:
            if self._sock is not None:
                raise
            # It took the connection and ended, as an idle one does: the next one stays.
            return await self._connect()

    async def _connect(self) -> dict[str, Any]:
        path = str(self._exec_root / protocol.SOCKET_NAME)
        sock = _try_connect(path)
        if sock is None:
            await asyncio.to_thread(_spawn, self._exec_root)
            deadline = asyncio.get_running_loop().time() + PATIENCE
            while (sock := _try_connect(path)) is None:
                if asyncio.get_running_loop().time() > deadline:
                    log_path = self._exec_root / protocol.LOG_NAME
                    raise Unavailable(f"the supervisor does not start, see {log_path}")
                await asyncio.sleep(POLL)
        self._sock = sock
        self._decoder = protocol.Decoder()
        self._profiles.clear()
        asyncio.get_running_loop().add_reader(sock.fileno(), self._on_readable)
        self._answers.pid = _peer(sock)
        for told, fds in self._held:
            # Before it is asked what there is: a new supervisor then knows which streams it has.
            self._send({"id": 0, "op": "rejoin", **told, "fds": len(fds)}, fds)
        return await self._hello()

    async def _hello(self) -> dict[str, Any]:
        asked_at = time.time_ns()
        hello = await self._ask("hello", (), {})
        self.pid = hello["pid"]
        self._held.keep_only(_processes(hello))
        return hello | {"asked_at": asked_at}

    async def _catch_up(self) -> None:
        """What was given up may have been carried out after all: let who knows better see what there is now."""
        with contextlib.suppress(Unavailable):
            while self._answers.late:
                self._answers.late = 0
                await asyncio.sleep(CATCH_UP)  # they come together
                self.on_hello(await self._hello())

    async def close(self) -> None:
        """Leave the supervisor to itself; it goes on without us."""
        self._closed = True
        for task in (self._reconnecting, self._catching_up):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._disconnect()
        self._held.close()

    async def request(
        self, op: str, *, fds: Sequence[int] = (), longest: float = LONGEST, **fields: Any
    ) -> dict[str, Any]:
        """Ask for one operation, which has so many seconds; descriptors stay the caller's.

        Raises what ERRORS says, Unavailable.
        """
        if self._sock is None or self._reconnecting is not None:
            await self._wait_connected()
        return await self._ask(op, fds, fields, longest)

    async def _ask(
        self, op: str, fds: Sequence[int], fields: dict[str, Any], longest: float = LONGEST
    ) -> dict[str, Any]:
        number = next(self._numbers)
        future = self._answers.expect(number, longest)
        try:
            sent = asyncio.get_running_loop().time()
            self._send({"id": number, "op": op, "sent": sent, "fds": len(fds), **fields}, fds)
            return await future
        finally:
            self._answers.forget(number)

    async def upgrade(self) -> dict[str, Any]:
        """Let its process go on with the program that is installed; containers and clients stay. Raises Conflict."""
        folder = os.path.dirname(os.path.dirname(os.path.abspath(pydock_runtime.__file__)))
        return await self.request("upgrade", python=sys.executable, home=sys.base_prefix, folder=folder)

    def post(self, op: str, **fields: Any) -> None:
        """Ask for an operation whose answer nobody needs; nothing happens when the supervisor is lost."""
        if self._sock is not None:
            with contextlib.suppress(Unavailable):
                self._send({"id": 0, "op": op, **fields}, ())

    async def create(self, fields: dict[str, Any], profile: Profile | None) -> dict[str, Any]:
        """Request `create` under a seccomp profile."""
        return await self._with_profile("create", fields, profile, ())

    async def exec(self, fields: dict[str, Any], profile: Profile | None, *, fds: Sequence[int] = ()) -> dict[str, Any]:
        """Request `exec` under a seccomp profile."""
        return await self._with_profile("exec", fields, profile, fds)

    async def _with_profile(
        self, op: str, fields: dict[str, Any], profile: Profile | None, fds: Sequence[int]
    ) -> dict[str, Any]:
        # The profile itself, 20 KB, goes once over a connection, its digest from then on.
        if profile is None:
            return await self.request(op, fds=fds, **fields)
        if self._sock is None or self._reconnecting is not None:
            await self._wait_connected()
        wanted: dict[str, Any] = {"digest": profile.digest}
        if profile.digest not in self._profiles:
            self._profiles.add(profile.digest)
            wanted["profile"] = profile.oci
        try:
            return await self.request(op, fds=fds, seccomp=wanted, **fields)
        except PydockError:
            self._profiles.discard(profile.digest)
            raise

    def _send(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        data = memoryview(protocol.encode(message))
        sock = self._sock
        if sock is None:
            raise Unavailable("the connection to the supervisor is lost")
        if not self._unsent:
            try:
                sent = protocol.transmit(sock, data, fds)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._lost(error)
                raise Unavailable("the connection to the supervisor is lost") from error
            if sent == len(data):
                return
            if sent:
                data, fds = data[sent:], ()
            asyncio.get_running_loop().add_writer(sock.fileno(), self._on_writable)
        elif len(self._unsent) >= MOST_UNSENT:
            raise Unavailable("the supervisor does not answer")
        self._unsent.append((data, [os.dup(fd) for fd in fds]))

    def _on_writable(self) -> None:
        sock = self._sock
        try:
            while self._unsent and sock is not None:
                data, fds = self._unsent[0]
                sent = protocol.transmit(sock, data, fds)
                protocol.close_all(fds)
                self._unsent[0] = (data[sent:], [])
                if sent == len(data):
                    self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if sock is not None:
            asyncio.get_running_loop().remove_writer(sock.fileno())

    def _on_readable(self) -> None:
        if self._sock is None:
            return
        try:
            data, fds = protocol.receive(self._sock)
            messages = self._decoder.feed(data, fds)
        except BlockingIOError:
            return
        except (OSError, protocol.ProtocolError) as error:
            self._lost(error)
            return
        if not data:
            self._lost(None)
        for message, passed in messages:
            self._dispatch(message, passed)
            protocol.close_all(passed)

    def _dispatch(self, message: dict[str, Any], fds: list[int]) -> None:
        if "event" in message:
            self._keep_hold(message, fds)
            told = {"exit": self.on_exit, "detach": self.on_detach, "oom": self.on_oom}
            told.get(message["event"], _ignore)(message)
            return
        if self._answers.came(message["id"]) and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(), name="supervisor")
        error = message.get("error")
        future = self._answers.find(message["id"])
        if future is None:
            if error is not None:
                log.warning("supervisor: %s", error["message"])
        elif error is None:
            # What came along is the asker's to close.
            future.set_result(message["result"] | ({"fds": fds.copy()} if fds else {}))
            fds.clear()
        else:
            future.set_exception(ERRORS.get(error["kind"], PydockError)(error["message"]))

    def _keep_hold(self, event: dict[str, Any], fds: list[int]) -> None:
        """Hold a process and the ends of its streams from when the supervisor gives them until it ends."""
        if event["event"] == "hold":
            self._held.take(event, fds)
            fds.clear()
        elif event["event"] == "exit":
            self._held.drop((event["container"], event["exec"]))

    def _lost(self, error: Exception | None) -> None:
        self._disconnect()
        if self._closed or self._reconnecting is not None:
            return
        log.warning("the connection to the supervisor is lost: %s", error or "it was closed")
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect(), name="supervisor")
        self.on_lost()

    def _disconnect(self) -> None:
        if self._sock is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._sock = None
        self._decoder.close()
        for _, fds in self._unsent:
            protocol.close_all(fds)
        self._unsent.clear()
        self._answers.lose(Unavailable("the connection to the supervisor is lost"))

    async def _reconnect(self) -> None:
        for pause in itertools.chain(RETRIES, itertools.repeat(RETRIES[-1])):
            try:
                hello = await self.connect()
            except (PydockError, OSError) as error:
                # The first time this may be the old one, whose socket still took a connection while it was dying.
                log.warning("the supervisor cannot be reached: %s", error)
                await asyncio.sleep(pause)
            else:
                self._reconnecting = None
                self.on_hello(hello)
                return

    async def _wait_connected(self) -> None:
        if self._reconnecting is None:
            raise Unavailable("there is no connection to the supervisor")
        await asyncio.wait([self._reconnecting], timeout=PATIENCE)
        if self._sock is None:
            raise Unavailable("the supervisor does not answer")


def command(exec_root: Path) -> list[str]:
    """Return the command that starts a supervisor and returns: an interpreter without site-packages."""
    program = os.path.dirname(os.path.abspath(pydock_runtime.__file__))
    files = str(rlimits.files())
    return [sys.executable, "-S", "-s", "-P", program, "supervisor", "--exec-root", str(exec_root), "--files", files]


def _spawn(exec_root: Path) -> None:
    exec_root.mkdir(mode=0o711, parents=True, exist_ok=True)
    argv = command(exec_root)
    environment = {name: os.environ[name] for name in SAFE_ENV if name in os.environ}
    log_path = str(exec_root / protocol.LOG_NAME)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)
    os.waitpid(pid, 0)  # it forks into its own session and returns


def _try_connect(path: str) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(path)
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
        sock.close()
        return None
    return sock


def _peer(sock: socket.socket) -> int:
    """Return the process at the other end, by SO_PEERCRED: it has not said a word yet."""
    pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid


def _processes(hello: dict[str, Any]) -> Iterator[Key]:
    """Yield the processes that a supervisor knows."""
    for entry in hello["containers"]:
        yield entry["container"], None
        yield from ((entry["container"], process["exec"]) for process in entry["execs"])


def _ignore(_message: dict[str, Any]) -> None:
    """Nobody asked to be told."""
