"""`DELETE /containers/{id}`: everything a container had goes away. Used by api.containers and prune."""

import signal

from pydock_shared.errors import Conflict
from pydock_shared.filters import Filters
from pydock_shared.times import parse_moment

from . import discard, sizes, stop
from .model import Container, Status
from .service import Containers

STOPPED = (Status.CREATED, Status.EXITED, Status.DEAD)


async def remove(containers: Containers, container: Container, *, force: bool, volumes: bool) -> None:
    """Remove a container that does not run, or with force any; with volumes its anonymous ones too."""
    if container.state.status is Status.REMOVING:
        raise Conflict(f"removal of container {container.name} is already in progress")
    if container.alive or container.state.status is Status.RESTARTING:
        if not force:
            state = container.state.status.value
            hint = ": stop the container before removing or force remove"
            if container.state.status is Status.PAUSED:
                hint = " and must be unpaused first"
            raise Conflict(f'cannot remove container "/{container.name}": container is {state}{hint}')
        container.state.stopped_by_user = True
    while containers.find(container.id) is not None:
        if container.alive:
            await stop.end(containers, container, signal.SIGKILL, stop.DEFAULT_TIMEOUT)
        async with container.lock:
            # A start may have come first; and one with --rm goes by itself.
            if not container.alive and containers.find(container.id) is not None:
                await discard.discard(containers, container, volumes=volumes)


async def prune(containers: Containers, filters: Filters) -> tuple[list[str], int]:
    """Remove every container that does not run; return their ids and the bytes that became free."""
    filters.check_known({"until", "label", "label!"})
    until = min((parse_moment(text) for text in filters.values("until")), default=None)
    removed, space = [], 0
    for container in list(containers):
        labels = container.config.labels or {}
        chosen = filters.match_labels(labels) and not ("label!" in filters and filters.match_labels(labels, "label!"))
        if container.state.status not in STOPPED or not chosen or (until is not None and container.created > until):
            continue
        (size,) = await sizes.of_containers(containers, [container])
        async with container.lock:
            if containers.find(container.id) is None or container.state.status not in STOPPED:
                continue  # removed or started meanwhile
            await discard.discard(containers, container, volumes=False)
        removed.append(container.id)
        space += size
    await containers.snapshots.settled()
    containers.events.publish("container", "prune", "", {"reclaimed": str(space)})
    return removed, space
