"""Where the mounts of a container come from, made ready before they are mounted. Used by `start` and `filesystem`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pydock_daemon.volumes import copyup
from pydock_daemon.volumes.mounts import mounted_on
from pydock_shared.errors import InvalidArgument, PydockError

from .model import Container, MountPoint
from .mounts import shows
from .service import Containers

SPREADING = {"shared": {"shared"}, "rshared": {"shared"}, "slave": {"shared", "master"}, "rslave": {"shared", "master"}}
"""Propagation that is asked for, and what the mount of the source must be for that, one of these."""


@asynccontextmanager
async def ready(containers: Containers, container: Container, user: str) -> AsyncIterator[dict[str, str]]:
    """Have every source there until the block ends; give the paths, by target, of those that are parts of volumes.

    Missing sources of `-v` bind mounts are made, those of others refused, and new volumes filled from the image.
    Volumes that something is mounted for stay mounted until `user` is released, which is the caller's to do.
    """
    async with AsyncExitStack() as stack:
        parts: dict[str, str] = {}
        for point in container.mounts:
            if point.type == "bind" and not os.path.lexists(point.source):
                await _make(point)
                if containers.remap and container.host.userns_mode != "host":
                    os.chown(point.source, *containers.remap.owner)  # as dockerd does
            if point.type == "bind" and point.propagation in SPREADING:
                _check_spreading(point, str(containers.config.data_root))
            elif point.type == "volume":
                source = await _volume(containers, container, point, user, stack)
                if source != point.source:
                    parts[point.target] = source
        yield parts


def _check_spreading(point: MountPoint, data_root: str) -> None:
    """Raise PydockError when mounts cannot come through as asked: the source's own mount keeps them to itself.

    Where it is our data root that is shown nobody may have asked, and mounts just do not come through.
    """
    place, spreads = mounted_on(point.source)
    if spreads & SPREADING[point.propagation] or (point.propagation == "rslave" and shows(point.source, data_root)):
        return
    kind = "shared or slave" if "slave" in point.propagation else "shared"
    raise PydockError(f"path {point.source} is mounted on {place} but it is not a {kind} mount")


async def _make(point: MountPoint) -> None:
    if "create" not in point.options:
        raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {point.source}')
    await asyncio.to_thread(os.makedirs, point.source, exist_ok=True)


async def _volume(
    containers: Containers, container: Container, point: MountPoint, user: str, stack: AsyncExitStack
) -> str:
    """Return the source of a volume, which is mounted and filled."""
    volumes = containers.volumes
    volume, place = volumes.get(point.name), volumes.mountpoint(point.name)
    if volume.mounted:
        await volumes.mounts.hold(place, volume.options, user)
    if point.subpath:
        place = await stack.enter_async_context(volumes.mounts.shown(place, point.subpath))
    if point.copy_up:
        # What is mounted may be slow to answer.
        empty = await asyncio.to_thread(copyup.needed, place) if volume.mounted else copyup.needed(place)
        if empty:
            with containers.snapshots.mounted(container.id) as root:
                await asyncio.to_thread(copyup.fill, place, root, point.target)
    return str(place)
