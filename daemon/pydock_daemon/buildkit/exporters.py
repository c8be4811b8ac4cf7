"""What becomes of a result: an image of this engine, or files and archives for the client. Used by `jobs`.

A row of EXPORTERS for each kind. Source: exporter/{containerimage,local,tar,oci} of BuildKit, and dockerd's `moby`.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from pydock_daemon.builder import exports
from pydock_daemon.engine import Engine
from pydock_daemon.images import push
from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.model import Image
from pydock_shared.errors import NotSupported
from pydock_shared.reference import Reference

from . import filesend
from .progress import Telling, Vertex, exported, pulled, vertex
from .session import Client

IMAGE = ("moby", "image")
"""Exporters whose result is an image of this engine."""


@dataclass(frozen=True)
class Export:
    """One output that was asked for; `number` is what the client calls it by."""

    kind: str
    attributes: dict[str, str]
    names: list[Reference]
    number: str

    def on(self, name: str) -> bool:
        """Say whether an attribute is true."""
        return self.attributes.get(name, "false").lower() == "true"

    def annotations(self, of: str) -> dict[str, str]:
        """Return the annotations of `manifest` or `index`."""
        begins = ("annotation-index.",) if of == "index" else ("annotation.", "annotation-manifest.")
        return {name.partition(".")[2]: value for name, value in self.attributes.items() if name.startswith(begins)}

    @property
    def tags(self) -> list[Reference]:
        """Return the names that the image gets in this engine."""
        return self.names if self.kind in IMAGE else []


@dataclass(frozen=True)
class Result:
    """What is exported, to whom. `target` is the digest that names stand for: of an index, or of the image's manifest.

    `folder` is for files on the way, and the caller's to remove.
    """

    engine: Engine
    client: Client | None
    telling: Telling
    image: Image
    target: str
    folder: Path

    @property
    def digests(self) -> dict[str, str]:
        """Return what every exporter of images says."""
        whole = self.image.id if self.target == self.image.manifest else self.target
        return {"containerimage.digest": whole, "containerimage.config.digest": self.image.id}


async def _image(result: Result, export: Export) -> dict[str, str]:
    """Tell of the image, and push it if asked to; buildx before 0.14 asks for `/images/NAME/push` besides."""
    async with vertex(result.telling, "exporting to image") as drawn:
        exported(drawn, result.image, export.names)
    for name in export.names if export.on("push") else ():
        async with vertex(result.telling, f"pushing {name.canonical()} with docker") as drawn:
            login = await result.client.credentials(name.domain) if result.client else Credentials()
            await push.push(result.engine.images, name, None, login, functools.partial(pulled, drawn))
    names = ",".join(name.canonical() for name in export.names)
    return result.digests | ({"image.name": names} if names else {})


async def _archive(result: Result, export: Export) -> dict[str, str]:
    """Send the image as one archive."""
    async with vertex(result.telling, f"exporting to {export.kind} image format") as drawn:
        pieces = exports.whole(result.engine.containers, result.image, export.names)
        await _send(result, export, pieces, drawn, "sending tarball")
    names = ",".join(name.canonical() for name in export.names)
    return result.digests | ({"image.name": names} if names else {})


async def _tar(result: Result, export: Export) -> dict[str, str]:
    """Send the files as one archive."""
    async with vertex(result.telling, "exporting to client tarball") as drawn:
        await _send(result, export, exports.root(result.engine.containers, result.image), drawn, "sending tarball")
    return {}


async def _local(result: Result, export: Export) -> dict[str, str]:
    """Send the files one by one, into a folder of the client."""
    async with vertex(result.telling, "exporting to client directory") as drawn:
        path = result.folder / f"export-{export.number}"
        tree = await exports.files(result.engine.containers, result.image, path)
        count = drawn.counting("copying files")
        await filesend.files(result.client, export.number, tree, count.add)
        count.end()
        await asyncio.to_thread(path.unlink)
    return {}


async def _send(result: Result, export: Export, pieces: AsyncGenerator[bytes, None], drawn: Vertex, what: str) -> None:
    count = drawn.counting(what)
    async with aclosing(pieces):
        await filesend.stream(result.client, export.number, pieces, count.add)
    count.end()


EXPORTERS: dict[str, tuple[Callable[[Result, Export], Awaitable[dict[str, str]]], tuple[str, ...]]] = {
    "moby": (
        _image,
        ("name", "push", "load", "dangling-name-prefix", "name-canonical", "unpack", "store", "rewrite-timestamp"),
    ),
    "image": (
        _image,
        ("name", "push", "load", "dangling-name-prefix", "name-canonical", "unpack", "store", "rewrite-timestamp"),
    ),
    "docker": (_archive, ("name", "tar", "dest", "rewrite-timestamp")),
    "oci": (_archive, ("name", "tar", "dest", "rewrite-timestamp")),
    "tar": (_tar, ("dest",)),
    "local": (_local, ("dest", "platform-split")),
}
"""An exporter, and the attributes that it carries out, or that are the client's affair."""
ANNOTATIONS = ("annotation.", "annotation-manifest.", "annotation-index.")
OFF = {"tar": "true", "platform-split": "false"}
"""Attributes of which there is one value only."""


def check(export: Export) -> None:
    """Refuse an export that is not carried out: NotSupported names what is not."""
    if export.kind not in EXPORTERS:
        raise NotSupported(f"the exporter {export.kind!r} is not supported")
    for name, value in export.attributes.items():
        if name.startswith(ANNOTATIONS) and export.kind not in ("tar", "local"):
            continue
        if name not in EXPORTERS[export.kind][1] or value.lower() != OFF.get(name, value.lower()):
            raise NotSupported(f"the option {name}={value} of the exporter {export.kind} is not supported")


async def carry_out(result: Result, export: Export) -> dict[str, str]:
    """Export a result; return what the exporter says of it."""
    return await EXPORTERS[export.kind][0](result, export)
