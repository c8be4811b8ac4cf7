"""Results that are no image of this engine: an archive of the root file system, or of the image. Used by the fronts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from pydock_daemon.containers import archive
from pydock_daemon.containers.service import Containers
from pydock_daemon.images import save
from pydock_daemon.images.body import Body
from pydock_daemon.images.model import Image
from pydock_shared.reference import Reference

from . import tree, work
from .steps import NOTHING
from .tree import Tree


async def root(containers: Containers, image: Image) -> AsyncGenerator[bytes, None]:
    """Yield the files of an image as one archive."""
    async with (
        work.container(containers, image, NOTHING) as made,
        archive.exported(containers, made) as child,
    ):
        while piece := await child.read():
            yield piece


async def files(containers: Containers, image: Image, path: Path) -> Tree:
    """Return the files of an image as a tree; `path` is for the archive behind it, and the caller's to remove."""
    async with aclosing(root(containers, image)) as pieces:
        await Body(lambda: anext(pieces, b"")).run(lambda data: tree.spool(data, path))
    return Tree(path)


async def whole(containers: Containers, image: Image, names: list[Reference]) -> AsyncGenerator[bytes, None]:
    """Yield an image as an archive that is docker's and an OCI layout at once."""
    saved = [one._replace(names=names) for one in save.chosen(containers.images, [image.id])]
    async with aclosing(save.stream(containers.images, saved)) as pieces:
        async for piece in pieces:
            yield piece
