"""`POST /images/create?fromSrc=`: an image of one layer from a root file system's tar. Used by `api.images`."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydock_daemon.snapshots import compression
from pydock_shared.errors import InvalidArgument
from pydock_shared.reference import Reference
from pydock_shared.times import rfc3339

from . import changes, manifest
from .body import Body, Read
from .content import Ingest
from .manifest import Descriptor
from .model import Image, Platform, host_platform
from .progress import Reporter, Send
from .service import Images


class Wanted(NamedTuple):
    """What the image is to be called and to say."""

    name: Reference | None
    message: str
    source: str
    changes: list[str]
    platform: Platform | None


async def import_(images: Images, read: Read, wanted: Wanted, send: Send) -> Image:
    """Make an image of the tar (compressed or not) that `read` gives; InvalidArgument when it is corrupt."""
    settings = changes.apply({}, wanted.changes)
    with images.adding() as adding:
        ingest = images.content.ingest()
        try:
            await Body(read).run(lambda chunks: _take(ingest, chunks))
            if not ingest.size:
                raise InvalidArgument("invalid archive: it is empty")
            await asyncio.to_thread(ingest.finish)
            adding.hold(ingest.digest)
            blob, size = images.content.commit(ingest), ingest.size
        finally:
            ingest.close()
        async with Reporter(send) as report:
            try:
                layer = await images.snapshots.unpack(
                    images.content.path(blob),
                    None,
                    None,
                    lambda current: report.count("Importing", blob.removeprefix("sha256:")[:12], current, size),
                )
            except InvalidArgument as error:
                raise InvalidArgument(f"invalid archive: {error.message}") from error
        adding.hold_layers([layer.chain])
        with images.content.path(blob).open("rb") as file:
            kind = compression.detect(file.read(compression.HEAD))
        plain = manifest.LAYER_KINDS["none"]
        layers = [Descriptor(blob, size, manifest.LAYER_KINDS.get(kind, f"{plain}+{kind}"))]
        config = manifest.encode(_config(wanted, settings, layer.diff_id))
        digest = manifest.digest_of(config)
        document = manifest.make_manifest(Descriptor(digest, len(config), manifest.OCI_CONFIG), layers)
        adding.hold(digest, manifest.digest_of(document))
        images.content.add(config)
        image = images.commit(images.content.add(document), [wanted.name] if wanted.name else [])
    await send({"status": image.id})
    if wanted.name:
        images.publish("tag", image.id, wanted.name.familiar())
    images.publish("import", image.id, image.id)
    return image


def _take(ingest: Ingest, chunks: Iterator[bytes]) -> None:
    for chunk in chunks:
        ingest.write(chunk)


def _config(wanted: Wanted, settings: dict[str, Any], diff_id: str) -> dict[str, Any]:
    platform, created = wanted.platform or host_platform(), rfc3339(time.time_ns())
    comment = wanted.message or f"Imported from {wanted.source}"
    config: dict[str, Any] = {
        "created": created,
        "architecture": platform.architecture,
        "os": platform.os,
        "comment": comment,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "comment": comment}],
    }
    return config | ({"variant": platform.variant} if platform.variant else {})
