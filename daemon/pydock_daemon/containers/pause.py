"""Freezing a container and letting it go on: pause and unpause. Used by api.containers."""

from pydock_shared.errors import Conflict

from .model import Container, Status
from .service import Containers


async def pause(containers: Containers, container: Container, *, held: bool = False) -> None:
    """Freeze every process of a running container; Conflict in any other state.

    With `held` it is for as long as an operation takes: a daemon that is killed before its end lets the container go on
    at the next start. So that is written down ahead of the freezing.
    """
    async with container.lock:
        if container.state.status is Status.PAUSED:
            raise Conflict(f"Container {container.id} is already paused")
        if container.state.status is not Status.RUNNING or container.killed == container.state.started_at:
            raise Conflict(f"container {container.id} is not running")
        if container.state.held is not held:
            container.state.held = held
            containers.save(container)
        await containers.supervisor.request("pause", container=container.id)
        with containers.moving(container, Status.PAUSED):
            pass
    containers.publish(container, "pause")


async def unpause(containers: Containers, container: Container) -> None:
    """Let a frozen container go on; Conflict when it is not frozen."""
    async with container.lock:
        if container.state.status is not Status.PAUSED:
            raise Conflict(f"Container {container.id} is not paused")
        await containers.supervisor.request("resume", container=container.id)
        with containers.moving(container, Status.RUNNING):
            container.state.held = False
    containers.publish(container, "unpause")
