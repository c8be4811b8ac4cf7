"""What a request asks of processes and their streams, in the words of stdio and attachments. Used by containers."""

from __future__ import annotations

from pydock_runtime.supervisor.attachments import STDERR, STDIN, STDOUT
from pydock_runtime.supervisor.connection import Refused
from pydock_runtime.supervisor.protocol import NOT_FOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.containers import Container
    from pydock_runtime.supervisor.processes import Process

NAMES = ((STDIN, "stdin"), (STDOUT, "stdout"), (STDERR, "stderr"))


def streams(fields: dict[str, Any]) -> frozenset[int]:
    """Return the streams that are asked for."""
    return frozenset(stream for stream, name in NAMES if fields.get(name))


def process(container: Container, request: Request) -> Process:
    """Return the process of a container that a request means. Raises Refused."""
    name = request.fields.get("exec")
    found = container.init if name is None else container.execs.get(name)
    if found is None:
        raise Refused(NOT_FOUND, f"no such exec: {name}")
    return found


def attach(process: Process, request: Request, fields: dict[str, Any]) -> None:
    """Give the request's connection to a process's streams. Raises Refused when it came without one.

    A client that reads nothing for `patience` seconds is dropped; with `leash` the process is killed when it goes.
    """
    attachment = process.stdio.attach(
        request.take_fd(),
        streams(fields),
        framed=bool(fields.get("multiplexed")),
        keys=bytes(fields.get("detach_keys") or ()),
    )
    attachment.patience = float(fields.get("patience") or 0)
    if fields.get("leash"):
        process.leash(attachment)
