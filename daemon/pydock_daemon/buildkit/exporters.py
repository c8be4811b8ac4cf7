"""What becomes of a result: an image of this engine. Used by `jobs`; a row of EXPORTERS for each kind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydock_daemon.engine import Engine
from pydock_daemon.images.model import Image
from pydock_shared.errors import NotSupported
from pydock_shared.reference import Reference

from .progress import Telling, vertex
from .session import Client

IMAGE_ATTRIBUTES = ("name", "push", "dangling-name-prefix", "name-canonical", "unpack", "store")


@dataclass(frozen=True)
class Export:
    """One output that was asked for; `number` is what the client calls it by."""

    kind: str
    attributes: dict[str, str]
    tags: list[Reference]
    number: str


async def image(engine: Engine, client: Client, telling: Telling, made: Image, export: Export) -> dict[str, str]:
    """Tell of an image that is in this engine already, with its names: the build has committed it.

    `push` is carried out by the client: with the docker driver buildx asks for it by `/images/NAME/push`.
    """
    for name in export.attributes:
        if name not in IMAGE_ATTRIBUTES:
            raise NotSupported(f"the option {name} of the image exporter is not supported")
    async with vertex(telling, "exporting to image") as drawn:
        drawn.count("exporting layers", 0, done=True)
        drawn.count(f"writing image {made.id}", 0, done=True)
        for tag in export.tags:
            drawn.count(f"naming to {tag.canonical()}", 0, done=True)
    names = ",".join(tag.canonical() for tag in export.tags)
    digests = {"containerimage.digest": made.id, "containerimage.config.digest": made.id}
    return digests | ({"image.name": names} if names else {})


EXPORTERS: dict[str, Callable[..., Awaitable[dict[str, str]]]] = {"moby": image, "image": image}
