"""What is said of a container: its line in hello, its events, and the record of a running one. Used by containers."""

from __future__ import annotations

from pydock_runtime.supervisor.processes import EXITED, RUNNING, STARTING, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.supervisor.containers import Container
    from pydock_runtime.supervisor.processes import Process

PAUSED = "paused"
SHOWN = {"preparing": "created", STARTING: "created", "failing": "exited", "draining": RUNNING}


def status(container: Container) -> str:
    """Return the status that hello reports."""
    found = container.init.status
    return PAUSED if found == RUNNING and container.pausing.paused else SHOWN.get(found, found)


def line(container: Container) -> dict[str, Any]:
    """Return the container's line in hello."""
    init = container.init
    return {
        "container": container.id,
        "pid": init.pid if init.alive else 0,
        "start_time": start_time(init.pid) if init.alive else 0,
        "status": status(container),
        "code": init.code if init.status == EXITED else None,
        "oom": container.oom,
        "started_at": init.started_at,
        "finished_at": init.finished_at,
        "tty": init.stdio.tty,
        "execs": [process.describe() for process in container.execs.values()],
    }


def state(container: Container) -> dict[str, Any]:
    """Return what a supervisor that comes after this one has to know of a running container."""
    return {
        **line(container),
        "cgroup": container.cgroup.path if container.cgroup is not None else None,
        "runtime": container.runtime.settings,
        "log": container.log_options,
        "hooks": container.hooks.order,
        "stdin": container.init.stdin,
        "stdin_once": container.init.stdio.close_stdin,
    }


def exit_event(container: Container, process: Process) -> dict[str, Any]:
    """Return the event of the end of its init or of an exec."""
    event = {
        "event": "exit",
        "container": container.id,
        "exec": process.name,
        "code": process.code,
        "oom": container.oom,
        "started_at": process.started_at,
        "finished_at": process.finished_at,
    }
    if process.capture is not None:
        event["output"] = process.capture.text()
    return event
