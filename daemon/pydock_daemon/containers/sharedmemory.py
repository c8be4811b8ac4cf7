"""/dev/shm of a container with whom others may share it (`--ipc shareable`). Used by `start` and `reconcile`.

A mount of one container's namespace cannot be bound into another's, so this one is made on the host, in the container's
folder, as Docker makes it for every container. It is there while the container runs; who has joined keeps his own
copy of the mount. That of any other container is made by its init, and never seen outside.
"""

from collections.abc import Set
from pathlib import Path

from pydock_daemon.volumes.mounts import mounted_at
from pydock_shared.errors import Conflict

from .model import Container
from .modes import OF_ANOTHER
from .service import Containers

SHAREABLE = "shareable"
PLACE = "/dev/shm"


def _owner(containers: Containers, container: Container) -> Container:
    """Return whose IPC namespace a container is in: the one at the end of its `container:` modes, or itself."""
    while (mode := container.host.ipc_mode or "").startswith(OF_ANOTHER):
        container = containers.get(mode.removeprefix(OF_ANOTHER))
    return container


def _folder(containers: Containers, owner: Container) -> Path:
    return containers.directory(owner) / "shm"


def path(containers: Containers, container: Container) -> str | None:
    """Return the path on the host of the /dev/shm of a container about to start, None when it has one of its own.

    Conflict when it is gone, because the container that it was of has ended.
    """
    if container.host.ipc_mode in (None, "", "private", "none"):
        return None
    owner = _owner(containers, container)
    if owner.host.ipc_mode == "host":
        return PLACE
    folder = _folder(containers, owner)
    if not mounted_at(str(folder)):
        raise Conflict(f"failed to join IPC namespace: container {owner.id} is not running")
    return str(folder)


async def hold(containers: Containers, container: Container) -> None:
    """Mount the /dev/shm of a container that others may join, until its volumes are released."""
    if container.host.ipc_mode != SHAREABLE:
        return
    folder = _folder(containers, container)
    folder.mkdir(mode=0o700, exist_ok=True)
    words = f"nosuid,nodev,noexec,mode=1777,size={container.host.shm_size}"
    await containers.volumes.mounts.hold(folder, {"type": "tmpfs", "device": "shm", "o": words}, container.id)


async def adopt(containers: Containers, live: Set[str]) -> None:
    """Keep those of the containers that have processes, and unmount what others have left."""
    held = {
        _folder(containers, container): [container.id]
        for container in containers
        if container.id in live and container.host.ipc_mode == SHAREABLE
    }
    await containers.volumes.mounts.adopt(held, containers.root)
