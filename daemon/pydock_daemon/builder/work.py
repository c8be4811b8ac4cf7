"""Containers of a build: one that a RUN runs in, and one whose files a COPY changes or is taken from. Used by `steps`.

They are containers as any other, with a label; what a daemon that was killed has left of them goes at the next start.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydock_daemon.containers import archive, attach, commit, create, remove, start, wait
from pydock_daemon.containers.model import Attachment, Container
from pydock_daemon.containers.service import Containers
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding
from pydock_shared.wire.container import CreateContainer

LABEL = "io.pydock.build"
PIECE = 1 << 16


@asynccontextmanager
async def container(
    containers: Containers, image: Image, config: dict[str, Any], *, keep: bool = False
) -> AsyncIterator[Container]:
    """Give a container of an image that is removed at the end, whatever happens; `keep` leaves one that went well."""
    body = CreateContainer.model_validate({**config, "Image": image.id, "Labels": {LABEL: "1"}})
    made, _ = create.create(containers, body, None)
    kept = False
    try:
        yield made
        kept = keep
    finally:
        if not kept:
            await asyncio.shield(remove.remove(containers, made, force=True, volumes=True))


async def run(containers: Containers, made: Container, say: Callable[[str], Awaitable[None]]) -> int:
    """Run a container to its end, telling its output as it comes; return its exit code."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        await attach.attach(containers, made, Attachment(theirs, False, True, True, False))
        exit_code = wait.prepare(made, "next-exit")
        await start.start(containers, made)
        loop = asyncio.get_running_loop()
        while piece := await loop.sock_recv(ours, PIECE):
            await say(piece.decode(errors="replace"))
    return await exit_code


async def insert(
    containers: Containers, made: Container, archive_path: str, *, place: str = "/", owner: str = ""
) -> None:
    """Unpack an archive file in a container; `owner` is a user by the container's own files."""
    with open(archive_path, "rb") as file:  # noqa: ASYNC230 - a local file, read in a thread
        await archive.put(
            containers, made, place, lambda: asyncio.to_thread(file.read, 1 << 20), keep_kinds=False, owner=owner
        )


async def layer(containers: Containers, made: Container, image: Image, adding: Adding) -> tuple[Descriptor, str] | None:
    """Return the layer of what a container has changed, in the store for as long as `adding`; None when nothing is."""
    return await commit.written(containers, made, adding, image)


async def sweep(containers: Containers) -> None:
    """Remove what builds of a daemon that was killed have left."""
    for left in [made for made in containers if LABEL in (made.config.labels or {})]:
        await remove.remove(containers, left, force=True, volumes=True)
