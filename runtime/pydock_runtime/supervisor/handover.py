"""Everything a supervisor knows, for the program that follows in the same process. Used by upgrade and loop.

The state is JSON in a memory file; bytes are base64 in it, descriptors are their numbers, which the exec keeps. A
container in it has settled: nobody waits for an answer about it, and nothing of it begins or ends just now.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket

from pydock_runtime import __version__
from pydock_runtime import cgroup as cgroups
from pydock_runtime.supervisor.adopt import AdoptedProcess
from pydock_runtime.supervisor.containers import Container
from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.logs import Capture, Log, open_log
from pydock_runtime.supervisor.protocol import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.processes import Process
    from pydock_runtime.supervisor.service import Service

FORMAT = 2
"""Of the state. A program that reads another one only must not be given it, see `upgrade`."""
BYTES = "base64"


def pack(service: Service, request: Request) -> tuple[bytes, list[int]]:
    """Return the state, with a request that is to be answered, and the descriptors that go with it."""
    order = {id(connection): number for number, connection in enumerate(service.connections)}
    state = {
        "format": FORMAT,
        "answer": [order.get(id(request.connection)), request.number],
        "service": service.saved(),
        "connections": [connection.saved() for connection in service.connections],
        "containers": [_container(container, order) for container in service.containers.values()],
    }
    fds: list[int] = []
    plain = _plain(state, fds)
    return json.dumps({**plain, "fds": fds}).encode(), fds


def read(file: int) -> dict[str, Any]:
    """Return the state from its file, which is closed; its descriptors are not inherited any further."""
    with open(file, "rb") as reading:
        state: dict[str, Any] = json.load(reading, object_hook=_bytes)
    for fd in state["fds"]:
        os.set_inheritable(fd, False)
    return state


def restore(service: Service, state: dict[str, Any]) -> None:
    """Fill a new service. A container that cannot be restored is killed, and noted."""
    service.restore(state["service"])
    for saved in state["connections"]:
        connection = service.accept(socket.socket(fileno=saved["sock"]))
        connection.restore(saved)
    for saved in state["containers"]:
        try:
            service.containers[saved["id"]] = _restored(service, saved)
        except (OSError, KeyError, TypeError, ValueError) as error:
            note(f"container {saved['id']} is lost: {type(error).__name__}: {error}")
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(saved["init"]["pidfd"], signal.SIGKILL)
    connection, number = state["answer"]
    if connection is not None:
        result = {"pid": os.getpid(), "release": __version__}
        service.connections[connection].send({"id": number, "result": result})


def _container(container: Container, connections: dict[int, int]) -> dict[str, Any]:
    return {
        "id": container.id,
        "creator": connections.get(id(container.creator)),
        "cgroup": container.cgroup.path if container.cgroup is not None else None,
        "runtime": container.runtime.settings,
        "log": container.log_options,
        "rests": list(container.log.saved().items()),
        "hooks": container.hooks.order,
        "oom": container.oom,
        "kills": container.memory.kills,
        "paused": container.pausing.paused,
        "recorded": container.recorded,
        "oom_score_adj": container.oom_score_adj,
        "own_pids": container.own_pids,
        "kept": container.kept.saved(),
        "init": container.init.saved(),
        "execs": [
            process.saved() | {"captured": list(process.capture.saved().items()) if process.capture else []}
            for process in container.execs.values()
        ],
    }


def _restored(service: Service, saved: dict[str, Any]) -> Container:
    creator = service.connections[saved["creator"]] if saved["creator"] is not None else None
    cgroup = cgroups.open_existing(saved["cgroup"]) if saved["cgroup"] is not None else None
    container = Container(service, saved["id"], creator, cgroup, service.runtimes.of(saved["id"], saved["runtime"]))
    container.log_options = saved["log"]
    ended = saved["init"]["status"] == "exited"
    container.log = Log() if ended else open_log(saved["log"], service.poller)
    container.log.restore(dict(saved["rests"]))
    for name in ("oom", "recorded", "oom_score_adj", "own_pids"):
        setattr(container, name, saved[name])
    container.pausing.paused = saved["paused"]
    container.hooks.order = saved["hooks"]
    container.kept.restore(saved["kept"])
    container.init = _process(service, container, saved["init"], container.log)
    for entry in saved["execs"]:
        log = Capture(entry["capture"]) if entry["capture"] else Log()
        log.restore(dict(entry["captured"]))
        container.execs[entry["name"]] = _process(service, container, entry, log)
    container.memory.restore(saved["kills"])
    if container.recorded and not ended:
        container.watch_memory()
    container.resume_record()
    return container


def _process(service: Service, container: Container, saved: dict[str, Any], log: Log) -> Process:
    streams = saved["stdio"]
    stdio = container.stdio(saved["name"], log, tty=streams["tty"], close_stdin=streams["close_stdin"])
    make = AdoptedProcess if saved["adopted"] else container.runtime.process
    process: Process = make(service.poller, container, saved["name"], stdio, stdin=saved["stdin"])
    process.capture = log if isinstance(log, Capture) else None
    if "outputs" in streams:
        for attachment, entry in stdio.restore(streams):
            if entry["leash"]:
                process.leash(attachment)
    process.restore(saved, container.cgroup)
    return process


def _plain(value: Any, fds: list[int]) -> Any:
    """Return a value as JSON has it, collecting its descriptors."""
    if isinstance(value, Fd):
        if value >= 0:
            fds.append(int(value))
        return int(value)
    if isinstance(value, bytes):
        return {BYTES: base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _plain(part, fds) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, fds) for part in value]
    return value


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[BYTES]) if value.keys() == {BYTES} else value


def into_file(data: bytes) -> int:
    """Return a memory file with the state, to be read from its beginning."""
    file = os.memfd_create("supervisor-state", os.MFD_CLOEXEC)
    with open(file, "wb", closefd=False) as writing:
        writing.write(data)
    os.lseek(file, 0, os.SEEK_SET)
    return file
