"""The end of a container that does not run: its record, files, snapshot and anonymous volumes go. Used by `remove`,
`exits` (`--rm`), `start` (a failed `--rm`) and reconcile.
"""

import shutil

from pydock_shared.errors import PydockError

from . import attach, links, wait
from .model import Container, Status
from .service import Containers


async def discard(containers: Containers, container: Container, *, volumes: bool) -> None:
    """Remove a container that does not run; the caller holds its lock. What fails leaves it as `dead`."""
    if container.restart:
        container.restart.cancel()
        container.restart = None
    with containers.moving(container, Status.REMOVING):
        pass
    attach.close_pending(container)
    await containers.shipping.finish(container)
    try:
        containers.networks.disconnect(container.id)
        containers.snapshots.remove(container.id)
        shutil.rmtree(containers.directory(container), ignore_errors=True)
        if volumes:
            _remove_volumes(containers, container)
    except OSError as error:
        with containers.moving(container, Status.DEAD):
            container.state.error = str(error)
        raise PydockError(f"unable to remove container {container.name}: {error}") from error
    links.cut(containers, container)
    containers.forget(container)
    containers.publish(container, "destroy")
    code = container.state.exit_code
    wait.answer(container.removals, code)
    wait.answer(container.exits, code)


def _remove_volumes(containers: Containers, container: Container) -> None:
    for point in container.mounts:
        others = [user for user in containers.users_of_volume(point.name) if user is not container]
        if point.type == "volume" and point.anonymous and not others and containers.volumes.exists(point.name):
            containers.volumes.remove(point.name, force=True, in_use=[])
