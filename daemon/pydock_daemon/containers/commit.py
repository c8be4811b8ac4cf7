"""`POST /commit`: an image of what a container has become. Used by api.archives.

The container is frozen while its layer is read, unless asked otherwise, so that the layer is of one moment; one that
does not run is kept from starting by its lock.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from isal import isal_zlib

from pydock_daemon.images import changes, manifest
from pydock_daemon.images.body import Body
from pydock_daemon.images.content import Ingest
from pydock_daemon.images.inspect import IMAGE_FIELDS
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding
from pydock_shared.errors import Conflict, NotFound
from pydock_shared.reference import Reference
from pydock_shared.times import rfc3339
from pydock_shared.wire.container import ContainerConfig

from . import filesystem, pause
from .model import Container, Status
from .service import Containers

LEVEL = 2
GZIP = 31
Settings = dict[str, Any]


class Wanted(NamedTuple):
    """What the image is to be called and to say; `settings` take the place of the container's where they are given."""

    name: Reference | None
    comment: str
    author: str
    pause: bool
    settings: ContainerConfig
    changes: list[str]


async def commit(containers: Containers, container: Container, wanted: Wanted) -> Image:
    """Make an image of a container, running or not; InvalidArgument for a change that cannot be."""
    if container.state.status is Status.DEAD:
        raise Conflict(f"You cannot commit container {container.id} which is Dead")
    if container.state.status is Status.REMOVING:
        raise Conflict(f"You cannot commit container {container.id} which is being removed")
    images, parent = containers.images, containers.images.get(container.image)
    if parent is None or not images.is_whole(parent):
        raise NotFound(f"the image that container {container.name} was made from is gone: {container.image}")
    settings = merged(wanted.settings, container.config, wanted.changes)
    with images.adding() as adding:
        adding.hold(parent.id, parent.manifest, *parent.blobs)
        adding.hold_layers(parent.chain)
        async with _still(containers, container, wanted=wanted.pause):
            layer = await written(containers, container, adding, parent)
        config = manifest.encode(_config(container, parent, settings, wanted, layer))
        parsed = manifest.parse_manifest(images.content.read(parent.manifest), manifest.OCI_MANIFEST)
        layers = [in_oci_words(descriptor) for descriptor in parsed.layers] + ([layer[0]] if layer else [])
        digest = manifest.digest_of(config)
        document = manifest.make_manifest(Descriptor(digest, len(config), manifest.OCI_CONFIG), layers)
        adding.hold(digest, manifest.digest_of(document))
        images.content.add(config)
        image = images.commit(images.content.add(document), [wanted.name] if wanted.name else [], made_here=True)
    name = wanted.name.familiar() if wanted.name else ""
    if name:
        images.publish("tag", image.id, name)
    containers.publish(container, "commit", comment=wanted.comment, imageID=image.id, imageRef=name)
    return image


@asynccontextmanager
async def _still(containers: Containers, container: Container, *, wanted: bool) -> AsyncIterator[None]:
    """Keep the files of a container as they are for the block: frozen if it runs and that is wanted, else not started.

    One that was frozen before, or is thawed by somebody else meanwhile, is left as it is.
    """
    if container.alive:
        frozen = False
        if wanted:
            with suppress(Conflict):
                await pause.pause(containers, container, held=True)
                frozen = True
        try:
            yield
        finally:
            if frozen:
                with suppress(Conflict, NotFound):
                    await pause.unpause(containers, container)
        return
    async with container.lock:
        yield


async def written(
    containers: Containers, container: Container, adding: Adding, parent: Image
) -> tuple[Descriptor, str] | None:
    """Bring the layer of what the container wrote into the store, unpacked; None when it changed nothing."""
    images, hashed = containers.images, hashlib.sha256()
    ingest = images.content.ingest()
    try:
        async with filesystem.difference(containers, container, "layer") as child:
            await child.answer()
            body = Body(child.read)
            await body.run(lambda pieces: _store(ingest, hashed, pieces))
        if not body.size:
            return None
        await asyncio.to_thread(ingest.finish)
        adding.hold(ingest.digest)
        digest, size, diff_id = images.content.commit(ingest), ingest.size, f"sha256:{hashed.hexdigest()}"
    finally:
        ingest.close()
    top = parent.chain[-1] if parent.chain else None
    layer = await images.snapshots.unpack(images.content.path(digest), top, diff_id)
    adding.hold_layers([layer.chain])
    return Descriptor(digest, size, manifest.LAYER_KINDS["gzip"]), diff_id


def _store(ingest: Ingest, hashed: Any, pieces: Iterator[bytes]) -> None:
    """Write the pieces compressed, hashing them as they are."""
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
    for piece in pieces:
        hashed.update(piece)
        if data := compressor.compress(piece):
            ingest.write(data)
    ingest.write(compressor.flush())


def in_oci_words(layer: Descriptor) -> Descriptor:
    """Return a layer of the parent under the OCI name of its kind: the new manifest is an OCI one."""
    compression = next((kind for kind in ("gzip", "zstd") if kind in layer.media_type), "none")
    return layer._replace(media_type=manifest.LAYER_KINDS[compression])


def merged(asked: ContainerConfig, container: ContainerConfig, instructions: list[str]) -> Settings:
    """Return the settings of the image: the request's, changed by the instructions, filled from the container's."""
    own = container.model_dump(by_alias=True, exclude_none=True)
    given = asked.model_dump(by_alias=True, exclude_none=True) or own
    result = changes.apply(given, instructions)
    names = {entry.partition("=")[0] for entry in result.get("Env") or ()}
    result["Env"] = [
        *(result.get("Env") or ()),
        *(entry for entry in own.get("Env") or () if entry.partition("=")[0] not in names),
    ]
    for key in ("ExposedPorts", "Labels", "Volumes", "Healthcheck"):
        result[key] = {**(own.get(key) or {}), **(result.get(key) or {})}
    if not result.get("Entrypoint"):
        result["Cmd"] = result.get("Cmd") or own.get("Cmd")
        result["Entrypoint"] = own.get("Entrypoint") if result.get("Entrypoint") is None else None
    for key in ("User", "WorkingDir", "StopSignal"):
        result[key] = result.get(key) or own.get(key)
    return {key: value for key, value in result.items() if key in IMAGE_FIELDS and value}


def _config(
    container: Container, parent: Image, settings: Settings, wanted: Wanted, layer: tuple[Descriptor, str] | None
) -> dict[str, Any]:
    created = rfc3339(time.time_ns())
    step: dict[str, Any] = {
        "created": created,
        "author": wanted.author,
        "created_by": " ".join(container.config.cmd or ()),
        "comment": wanted.comment,
        "empty_layer": layer is None,
    }
    kept = ("architecture", "os", "variant", "os.version", "os.features")
    return {
        **{key: parent.config[key] for key in kept if key in parent.config},
        "created": created,
        **{key: text for key, text in (("author", wanted.author), ("comment", wanted.comment)) if text},
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [*parent.diff_ids, *([layer[1]] if layer else [])]},
        "history": [*(parent.config.get("history") or ()), {key: value for key, value in step.items() if value}],
    }
