"""`POST /containers/{id}/restart`: stop, then start. Used by api.containers and by the action of a health check."""

import contextlib

from pydock_shared.errors import NotModified

from . import stop
from .model import Container, Status
from .service import Containers
from .start import start


async def restart(containers: Containers, container: Container, *, signal: str | None, timeout: int | None) -> None:
    """Stop the container if it runs, and start it; one with --rm is not removed in between."""
    if container.alive or container.state.status is Status.RESTARTING:
        container.stays = True
        try:
            await stop.stop(containers, container, signal=signal, timeout=timeout)
        finally:
            container.stays = False
    # Somebody else's restart may come first.
    with contextlib.suppress(NotModified):
        await start(containers, container)
    containers.publish(container, "restart")
