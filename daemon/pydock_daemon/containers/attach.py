"""Clients at the streams of a container. Used by api.containers, and by `start` for those who came before it.

A client's connection is handed to the supervisor, which reads and writes it. Before a start there is nothing to hand
it to: the connection waits here, on `container.pending`.
"""

import contextlib
import socket
from contextlib import ExitStack

from pydock_shared.errors import Conflict, Unavailable

from .model import Attachment, Container
from .service import Containers

SPECTATOR = 10.0
"""Seconds for which a container waits for a client that came after its start and reads nothing."""


def check(container: Container) -> None:
    """Raise Conflict when the container cannot be attached to."""
    if container.state.status == "paused":
        raise Conflict(f"container {container.id} is paused, unpause the container before attach")


async def attach(containers: Containers, container: Container, attachment: Attachment) -> None:
    """Connect a client now, or at the next start of the container; takes over the socket."""
    if container.alive:
        await _hand(containers, container, attachment, patience=SPECTATOR)
    else:
        container.pending.append(attachment)


async def hand_over(containers: Containers, container: Container) -> None:
    """Connect the clients that waited for the start."""
    pending, container.pending = container.pending, []
    with ExitStack() as rest:
        for attachment in pending:
            rest.callback(attachment.socket.close)
        for attachment in pending:
            await _hand(containers, container, attachment, patience=0)


def close_pending(container: Container) -> None:
    """Send the clients away that wait for a start that failed or will not come."""
    pending, container.pending = container.pending, []
    for attachment in pending:
        attachment.socket.close()


async def _hand(containers: Containers, container: Container, attachment: Attachment, *, patience: float) -> None:
    """Hand a client over; the container waits for one that reads nothing for so many seconds, with 0 for ever."""
    with attachment.socket:
        try:
            await containers.supervisor.request(
                "attach",
                fds=[attachment.socket.fileno()],
                container=container.id,
                stdin=attachment.stdin and bool(container.config.open_stdin),
                stdout=attachment.stdout,
                stderr=attachment.stderr,
                multiplexed=attachment.multiplexed,
                detach_keys=list(attachment.detach_keys),
                patience=patience,
            )
        except Unavailable:
            # Closing is not enough: on its way to a supervisor that does not look, the connection is open.
            with contextlib.suppress(OSError):
                attachment.socket.shutdown(socket.SHUT_RDWR)
            raise
