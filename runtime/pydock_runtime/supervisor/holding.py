"""What pydockd is given to hold for a supervisor that comes after one that was killed. Used by containers; see adopt.

Duplicates of the pidfd of each init and exec, of the ends of its streams, and of its clients' connections, with what
they were not sent yet. What is given of a process takes the place of what was given before.
"""

from __future__ import annotations

import contextlib
import time

from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.processes import RUNNING
from pydock_runtime.supervisor.protocol import PIDFD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pydock_runtime.supervisor.connection import Connection
    from pydock_runtime.supervisor.containers import Container
    from pydock_runtime.supervisor.house import House
    from pydock_runtime.supervisor.processes import Process

DELAY = 0.02  # seconds until a process is worth it: most short runs are over by then
MOST_CLIENTS = 13  # of one process, two descriptors each; a frame takes 32


class Offers:
    """The processes of one container whose clients change: one is told at once, those of a crowd once each DELAY."""

    __slots__ = ("_changed", "_container", "_house")

    def __init__(self, house: House, container: Container) -> None:
        self._house = house
        self._container = container
        self._changed: dict[str | None, bool] = {}
        """Those of which was told within DELAY; whether there has been a change since."""

    def changed(self, name: str | None) -> None:
        """Offer an exec, or init, now or soon."""
        if name in self._changed:
            self._changed[name] = True
        else:
            self._offer(name)

    def _offer(self, name: str | None) -> None:
        self._changed[name] = False
        self._house.poller.after(DELAY, lambda: self._look_again(name))
        offer(self._house, self._container, name)

    def _look_again(self, name: str | None) -> None:
        if self._changed.pop(name):
            self._offer(name)


def offer(house: House, container: Container, name: str | None) -> None:
    """Give an exec, or init, to every pydockd, if it is worth it."""
    process = container.init if name is None else container.execs.get(name)
    if process is not None and _worth(container, process):
        with _noted(container):
            house.broadcast(*_event(container, process))


def give(container: Container, connection: Connection) -> None:
    """Give what is worth it of a container to one pydockd."""
    for process in (container.init, *container.execs.values()):
        if _worth(container, process):
            with _noted(container):
                connection.send(*_event(container, process))


@contextlib.contextmanager
def _noted(container: Container) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        note(f"what is held of {container.id}: {error}")


def _worth(container: Container, process: Process) -> bool:
    if process.status != RUNNING or process.capture is not None:
        return False
    return container.recorded if process.name is None else time.time_ns() - process.started_at >= DELAY * 1e9


def _event(container: Container, process: Process) -> tuple[dict[str, Any], list[int]]:
    ends = process.stdio.ends()
    if process.child.pidfd >= 0:
        ends = [*ends, (PIDFD, process.child.pidfd)]
    clients = [client for client in process.stdio.attachments if client.stays][:MOST_CLIENTS]
    event = {
        "event": "hold",
        "container": container.id,
        "exec": process.name,
        "process": {**process.describe(), "stdin": process.stdin},
        "streams": [stream for stream, _ in ends],
        "clients": [client.describe() for client in clients],
    }
    fds = [*(end for _, end in ends), *(fd for client in clients for fd in client.fds)]
    return {**event, "fds": len(fds)}, fds
