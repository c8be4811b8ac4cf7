"""The two engines a benchmark compares. Used by `__main__`, which closes them.

BENCH_DOCKER_HOST=unix:///... names a dockerd that runs; else one is started: BENCH_DOCKERD, or `dockerd` on PATH.
"""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api


class Side:
    """One of the two: its socket, its command line, and its processes."""

    def __init__(self, name: str, socket_path: str, home: Path) -> None:
        self.name = name
        self.socket = socket_path
        self.api = Api(socket_path)
        self.cli = Cli(name, f"unix://{socket_path}", home)
        self.home = home

    def processes(self) -> list[int]:
        """The daemon behind the socket, what it started, and the supervisor that outlives it."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(self.socket)
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        parents = _parents()
        found = _below({pid}, parents)
        mark = str(Path(self.socket).parent / "exec").encode()
        if self.name == "pydock":
            found |= {one for one in parents if b"supervisor" in (line := _command(one)) and mark in line}
        return sorted(found)


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
    return found


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def pss(pids: list[int]) -> float:
    """Memory of processes in megabytes, shared pages divided among those that share them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total / 1024


def seconds_of_cpu(side: Side, container: str) -> float:
    """What an engine has used so far, its shim of this container counted, the container itself not."""
    inside = _below({side.api.ok("GET", f"/containers/{container}/json")["State"]["Pid"]}, _parents())
    return sum(map(seconds_of_process, set(family(side, [container])) - inside))


def seconds_of_all(side: Side, containers: list[str]) -> float:
    """What an engine and its shims have used so far, children that have ended counted: probes, and who starts them."""
    return sum(seconds_of_process(pid, ended=True) for pid in family(side, containers))


def family(side: Side, containers: list[str]) -> list[int]:
    """An engine's processes, with the shims of these containers and what runs in them."""
    parents = _parents()
    marks = [name.encode() for name in containers]
    shims = {pid for pid in parents if (command := _command(pid)) and any(mark in command for mark in marks)}
    return sorted(_below({*side.processes(), *shims}, parents))


def _below(pids: set[int], parents: dict[int, int]) -> set[int]:
    """These processes with their descendants."""
    found = set(pids)
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def seconds_of_process(pid: int, *, ended: bool = False) -> float:
    """What a process has used so far, with `ended` its children that have ended too."""
    with contextlib.suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11 : 15 if ended else 13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return 0.0


@contextlib.contextmanager
def pydock(folder: Path, base: bytes) -> Iterator[Side]:
    """A pydockd of our own with busybox:latest."""
    folder.mkdir()
    engine = Engine(folder)
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base)
        yield Side("pydock", engine.socket, folder)
    finally:
        engine.destroy()


@contextlib.contextmanager
def docker(folder: Path, base: bytes) -> Iterator[Side | None]:
    """The Docker engine to compare with, with busybox:latest; None when there is none."""
    folder.mkdir()
    host, program = os.environ.get("BENCH_DOCKER_HOST"), os.environ.get("BENCH_DOCKERD") or shutil.which("dockerd")
    with contextlib.ExitStack() as stack:
        if host:
            path = host.removeprefix("unix://")
        elif program:
            path = stack.enter_context(_dockerd(program, folder))
        else:
            print("no dockerd: name one by BENCH_DOCKER_HOST or BENCH_DOCKERD; measuring pydock alone", file=sys.stderr)
            yield None
            return
        Api(path).ok("POST", "/images/load", base)
        yield Side("docker", path, folder)


@contextlib.contextmanager
def _dockerd(program: str, folder: Path) -> Iterator[str]:
    beside = Path(program).resolve().parent
    path = f"{beside}:{beside.parent / 'bin'}:{os.environ['PATH']}"
    host = folder / "docker.sock"
    options = ("--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid")
    command = [program, "-H", f"unix://{host}", *map(str, options)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PATH": path})
    try:
        eventually(lambda: host.exists() and Api(str(host))("GET", "/_ping").status == 200, timeout=60)
        yield str(host)
    finally:
        process.terminate()
        process.wait(30)
