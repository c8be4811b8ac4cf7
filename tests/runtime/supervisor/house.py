"""A real supervisor with an exec root of its own, and a blocking client: what the tests of this folder stand on."""

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pydock_runtime
from pydock_daemon.containers.held import Held
from pydock_runtime.supervisor import logformat, protocol

PROGRAM = str(Path(pydock_runtime.__file__).parent)
BUSYBOX = "/bin/busybox"
PATIENCE = 10.0
OTHER_RUNTIME = os.environ.get("PYDOCK_OTHER_RUNTIME", "")
"""Name of the OCI runtime, such as runc, whose containers the tests supervise instead of our own."""

MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
]
NAMESPACES = ("pid", "mount", "ipc", "uts", "network", "cgroup")


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


def make_rootfs(folder: Path) -> Path:
    """Make a root file system of busybox."""
    for name in ("bin", "dev", "proc", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "bin" / "busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split():
        with contextlib.suppress(FileExistsError):
            os.symlink("busybox", folder / "bin" / applet)
    (folder / "bin" / "plain").write_text("not a program")
    return folder


def process(args: Sequence[str], *, tty: bool = False) -> dict[str, Any]:
    """Return the `process` of a spec."""
    return {
        "terminal": tty,
        "user": {"uid": 0, "gid": 0},
        "args": list(args),
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")},
    }


class Client:
    """A pydockd as the supervisor sees one."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self.events: list[dict[str, Any]] = []
        self.held = Held()
        self._decoder = protocol.Decoder()
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}

    def request(self, op: str, *, fds: Sequence[int] = (), **fields: Any) -> dict[str, Any]:
        return self.answer(self.post(op, fds=fds, **fields))

    def post(self, op: str, *, fds: Sequence[int] = (), **fields: Any) -> int:
        number = next(self._numbers)
        frame = memoryview(protocol.encode({"id": number, "op": op, "fds": len(fds), **fields}))
        sent = protocol.transmit(self.sock, frame, fds)
        if sent < len(frame):
            self.sock.sendall(frame[sent:])
        return number

    def answer(self, number: int) -> dict[str, Any]:
        self._until(lambda: number in self._answers)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Refused(answer["error"]["kind"], answer["error"]["message"])
        result: dict[str, Any] = answer["result"]
        return result

    def event(self, kind: str, container: str, exec: str | None = None) -> dict[str, Any]:
        """Return an event, waiting for it, and forget it."""

        def found() -> dict[str, Any] | None:
            wanted = (kind, container, exec)
            return next((e for e in self.events if (e["event"], e["container"], e.get("exec")) == wanted), None)

        self._until(lambda: found() is not None)
        event = found()
        assert event is not None
        self.events.remove(event)
        return event

    def close(self) -> None:
        self.sock.close()
        self._decoder.close()
        self.held.close()

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the supervisor does not answer")
            data, fds = protocol.receive(self.sock)
            if not data:
                raise ConnectionError("the supervisor has gone")
            for message, passed in self._decoder.feed(data, fds):
                if message.get("event") == "hold":
                    self.held.take(message, passed)
                    continue
                if passed:
                    message["result"]["fds"] = passed
                if "event" in message:
                    self.events.append(message)
                else:
                    self._answers[message["id"]] = message


class House:
    """The supervisor, its files, and shortcuts for its operations."""

    def __init__(self, folder: Path, rootfs: Path) -> None:
        self.folder = folder
        self.rootfs = rootfs
        self.exec_root = folder / "exec"
        self.cgroup_root = f"/pydock-test-{os.getpid()}-{folder.name}"
        self.clients: list[Client] = []
        self._names = itertools.count()
        self.boot()

    def boot(self, held: Held | None = None) -> None:
        """Start a supervisor, whose command returns when it has detached itself, and give it what is held."""
        self.folder.joinpath("exec").mkdir(exist_ok=True)
        command = [sys.executable, "-S", "-s", "-P", PROGRAM, "supervisor", "--exec-root", str(self.exec_root)]
        subprocess.run(command, check=True, env={}, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        wait_until(lambda: _answers(self.exec_root / protocol.SOCKET_NAME))
        self.client = self.connect()
        for told, fds in held or ():
            self.client.post("rejoin", fds=fds, **told)
        self.pid: int = self.client.request("hello")["pid"]

    def connect(self) -> Client:
        client = Client(self.exec_root / protocol.SOCKET_NAME)
        self.clients.append(client)
        return client

    def kill(self) -> None:
        """End the supervisor as a crash does."""
        pidfd = os.pidfd_open(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        select.select([pidfd], [], [], PATIENCE)
        os.close(pidfd)

    def create(self, *args: str, tty: bool = False, **fields: Any) -> str:
        """Create a container that runs `args`; returns its id."""
        number, name = self._post_create(*args, tty=tty, **fields)
        self.client.answer(number)
        return name

    def post_create(self, *args: str, **fields: Any) -> int:
        """Ask for a container, and return the number of the answer."""
        return self._post_create(*args, **fields)[0]

    def _post_create(self, *args: str, tty: bool = False, **fields: Any) -> tuple[int, str]:
        name = f"c{next(self._names)}"
        spec = {
            "process": fields.pop("process", None) or process(args, tty=tty),
            "root": {"path": str(self.rootfs)},
            "mounts": [*MOUNTS, *fields.pop("mounts", ())],
            "linux": {"namespaces": [{"type": kind} for kind in fields.pop("namespaces", NAMESPACES)]},
            "hooks": fields.pop("hooks", {}),
        }
        fields.setdefault("log", {"driver": "local", "path": str(self.log_path(name))})
        cgroup = {"path": f"{self.cgroup_root}/{name}"}
        if OTHER_RUNTIME:
            fields.setdefault("runtime", {"name": OTHER_RUNTIME, "path": shutil.which(OTHER_RUNTIME), "args": []})
        number = self.client.post("create", container=name, spec=spec, overlay=None, tty=tty, cgroup=cgroup, **fields)
        return number, name

    def run(self, *args: str, **fields: Any) -> str:
        name = self.create(*args, **fields)
        self.client.request("start", container=name, interfaces=[])
        return name

    def exit(self, name: str) -> dict[str, Any]:
        return self.client.event("exit", name)

    def attach(self, name: str, *, exec: str | None = None, **fields: Any) -> socket.socket:
        """Return a client's connection that is attached."""
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        chosen = {"stdin": True, "stdout": True, "stderr": True, "multiplexed": False, "detach_keys": []} | fields
        with theirs:
            self.client.request("attach", fds=[theirs.fileno()], container=name, exec=exec, **chosen)
        return ours

    def log_path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def logged(self, name: str, stream: int | None = None) -> bytes:
        """Return what the `local` log holds, rotated files first."""
        path = self.log_path(name)
        numbered = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:]))
        return b"".join(_payloads(file.read_bytes(), stream) for file in (*numbered, path))

    def cgroups(self) -> list[str]:
        """Return the cgroup folders that exist below this house's, in all hierarchies."""
        with open("/proc/self/mountinfo") as file:
            points = [line.split()[4] for line in file if " - cgroup" in line]
        return [str(path) for point in points for path in Path(point + self.cgroup_root).glob("*/")]

    def close(self) -> None:
        """Delete what is left, shut down, and make sure that nothing stays behind."""
        for container in self.client.request("hello")["containers"]:
            self.client.request("delete", container=container["container"], force=True)
        wait_until(lambda: not self.cgroups())
        pidfd = os.pidfd_open(self.pid)
        self.client.request("shutdown")
        ended = select.select([pidfd], [], [], PATIENCE)[0]
        os.close(pidfd)
        assert ended
        for client in self.clients:
            client.close()
        left = sorted(str(path.relative_to(self.exec_root)) for path in self.exec_root.rglob("*"))
        assert left == ["containers", "supervisor.lock", "supervisor.log"], left
        self._remove_cgroup_root()

    def diary(self) -> str:
        return (self.exec_root / protocol.LOG_NAME).read_text()

    def _remove_cgroup_root(self) -> None:
        with open("/proc/self/mountinfo") as file:
            points = [line.split()[4] for line in file if " - cgroup" in line]
        for point in points:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(point + self.cgroup_root)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to that")
        time.sleep(0.005)


def read_all(sock: socket.socket) -> bytes:
    """Read to the end of a client's connection, and close it."""
    with sock:
        return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = sock.recv(1 << 16)
        if not piece:
            raise ConnectionError(f"the stream ended with {data!r}")
        data += piece
    return data


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def _payloads(data: bytes, stream: int | None) -> bytes:
    def walk() -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size, number, _, _ = logformat.HEADER.unpack_from(data, at)
            start = at + logformat.HEADER.size
            if stream in (None, number):
                yield data[start : start + size]
            at = start + size + logformat.TRAILER.size

    return b"".join(walk())


def exit_record(house: House, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((house.exec_root / "containers" / name / "exit.json").read_text())
    return record
