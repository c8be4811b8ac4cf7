"""What can be wrong with the data root, one function a kind, and how each is set right. Used by `check`.

The functions read rows, records and folders without a pause, so that what they compare is of one moment: an operation
changes a row and its file in one go of the event loop.
"""

import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydock_daemon.containers import discard
from pydock_daemon.containers.model import Container, Status
from pydock_daemon.engine import Engine
from pydock_daemon.images import delete
from pydock_daemon.images.model import Image
from pydock_daemon.volumes.mounts import mounted_at, mounted_below
from pydock_runtime import abi, linux
from pydock_shared.errors import Conflict
from pydock_shared.reference import Reference

OLD = 24 * 3600
"""Seconds after which the folder of a build is nobody's."""
Repair = Callable[[], Awaitable[None]]


class Problem(NamedTuple):
    """Something that is not as it should be; `repair` None where nothing can be done about it from here."""

    kind: str
    id: str
    text: str
    repair: Repair | None = None


def database(engine: Engine) -> Iterator[Problem]:
    """Look at the database itself."""
    for text in engine.store.problems():
        yield Problem("database", "pydock.db", text)


def strays(engine: Engine) -> Iterator[Problem]:
    """Find files and folders that no record names: content, layers, writable folders, volumes, leftovers."""
    root = engine.config.data_root
    builds = root / "builds"
    oldest = time.time() - OLD
    mounted = {point.name for container in engine.containers for point in container.mounts if point.type == "volume"}
    found = [
        *engine.images.content.strays(),
        *engine.snapshots.strays(),
        *(folder for folder in engine.volumes.strays() if folder.name not in mounted),
        *(folder for folder in engine.containers.root.iterdir() if engine.containers.find(folder.name) is None),
        *(folder for folder in (builds.iterdir() if builds.is_dir() else ()) if _modified(folder) < oldest),
    ]
    for path in filter(os.path.lexists, found):  # threads may have removed some since they were listed
        yield Problem("stray", str(path.relative_to(root)), "belongs to nothing", _remover(path))


def _modified(path: Path) -> float:
    """Return when something was changed last; of what has gone meanwhile: not so long ago."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def _remover(path: Path) -> Repair:
    async def repair() -> None:
        if mounted_at(str(path)) or mounted_below(path):
            raise Conflict(f"{path}: something is mounted there")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    return repair


def mounts(engine: Engine) -> Iterator[Problem]:
    """Find mounts below the data root of no volume and nothing under way: containers have theirs in namespaces."""
    root = os.path.realpath(engine.config.data_root)
    busy = {os.path.realpath(path) for path in engine.snapshots.mounts()}
    for place in engine.volumes.mounts.strays(Path(root)):
        if place not in busy:
            yield Problem("mount", os.path.relpath(place, root), "is mounted for nothing", _unmounter(place))


def _unmounter(place: str) -> Repair:
    async def repair() -> None:
        linux.umount2(place, abi.MNT_DETACH)

    return repair


def blobs(engine: Engine) -> Iterator[Problem]:
    """Find blobs whose file is gone or cut short."""
    for digest in engine.images.content.lost():
        yield Problem("blob", digest, "is lost or cut short", forgetter(engine, digest))


def forgetter(engine: Engine, digest: str) -> Repair:
    """Return what forgets a blob that is not what it should be: images that need it are the next to be found."""

    async def repair() -> None:
        engine.images.content.forget(digest)

    return repair


def layers(engine: Engine) -> Iterator[Problem]:
    """Find layers whose folder is gone."""
    for lost in engine.snapshots.lost():

        async def repair(lost: object = lost) -> None:
            engine.snapshots.forget(lost)  # type: ignore[arg-type]

        yield Problem("layer", lost.chain, "is lost: its folder is gone", repair)


def unpacker(engine: Engine, chain: str) -> Repair:
    """Return what takes away a layer whose files are not its blob's: images that need it unpack it once more."""

    async def repair() -> None:
        snapshots = engine.snapshots
        for container in engine.containers:
            if container.alive and snapshots.stands_on(container.id, chain):
                raise Conflict(f"container {container.name} runs on it: stop it first")
        if found := snapshots.layer(chain):
            snapshots.forget(found)

    return repair


def images(engine: Engine) -> Iterator[Problem]:
    """Find images that have not everything they name."""
    for image in list(engine.images):
        if not engine.images.is_whole(image):
            names = ", ".join(image.repo_tags or image.repo_digests)
            text = f"is not whole{f': {names}' if names else ''}"
            yield Problem("image", image.id, text, _mender(engine, image))


def names(engine: Engine) -> Iterator[Problem]:
    """Find names of an index that is lost."""
    known = engine.images.names
    for image in list(engine.images):
        for ref in known.names_of(image.id):
            if known.target(ref) not in engine.images.content and known.target(ref) != image.manifest:

                async def repair(ref: Reference = ref, image: Image = image) -> None:
                    known.add(image, [ref], image.manifest, locally=False)

                yield Problem("name", ref.familiar(), "stands for an index that is lost", repair)


def _mender(engine: Engine, image: Image) -> Repair:
    async def repair() -> None:
        """Unpack layers that are missing once more; an image that has lost more than that is removed."""
        with engine.images.adding() as adding:
            adding.hold(image.id, image.manifest, *image.blobs)
            adding.hold_layers(image.chain)
            parent = None
            for digest, diff_id, chain in zip(image.blobs, image.diff_ids, image.chain, strict=True):
                if digest in engine.images.content and not engine.snapshots.layer(chain):
                    await engine.snapshots.unpack(engine.images.content.path(digest), parent, diff_id)
                if not engine.snapshots.layer(chain):
                    break
                parent = chain
        if not engine.images.is_whole(image):
            delete.delete(engine.images, image.id, force=True)

    return repair


def snapshots(engine: Engine) -> Iterator[Problem]:
    """Find writable layers of no container, and containers whose files are lost."""
    for key in engine.snapshots.abandoned({container.id for container in engine.containers}):

        async def repair(key: str = key) -> None:
            engine.snapshots.remove(key)

        yield Problem("snapshot", key, "belongs to no container", repair)
    for container in list(engine.containers):
        if container.state.status not in (Status.REMOVING, Status.DEAD):
            yield from _container(engine, container)


def _container(engine: Engine, container: Container) -> Iterator[Problem]:
    if not engine.snapshots.is_whole(container.id):

        async def remove() -> None:
            async with container.lock:
                if container.alive:
                    raise Conflict(f"container {container.name} runs: stop it first")
                await discard.discard(engine.containers, container, volumes=False)

        yield Problem("container", container.id, f"{container.name}: its files or layers are lost", remove)
    if not engine.containers.directory(container).is_dir():

        async def make() -> None:
            engine.containers.directory(container).mkdir(mode=0o710, exist_ok=True)

        yield Problem("container", container.id, f"{container.name}: its folder is gone", make)


def volumes(engine: Engine) -> Iterator[Problem]:
    """Find volumes whose folder is gone, and those that containers name and nobody knows."""

    def mender(name: str) -> Repair:
        async def repair() -> None:
            engine.volumes.mend(name)

        return repair

    for name in engine.volumes.lost():
        yield Problem("volume", name, "its folder is gone; made anew it is empty", mender(name))
    for container in list(engine.containers):
        for point in container.mounts:
            if point.type == "volume" and point.name and not engine.volumes.exists(point.name):
                yield Problem("volume", point.name, f"is unknown, and {container.name} has it", mender(point.name))


CHECKS = (database, mounts, strays, blobs, layers, images, names, snapshots, volumes)
"""In the order in which they are set right: what an earlier one takes away, a later one finds missing."""
