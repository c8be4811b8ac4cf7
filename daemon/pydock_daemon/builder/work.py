"""Containers of a build: one that a RUN runs in, and one whose files a COPY changes or is taken from. Used by `steps`.

They are containers as any other, with a label; what a daemon that was killed has left of them goes at the next start.
"""

import asyncio
import codecs
import os
import posixpath
import shutil
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from pydock_daemon.containers import archive, attach, commit, create, filesystem, remove, start, wait
from pydock_daemon.containers.model import Attachment, Container
from pydock_daemon.containers.service import Containers
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding
from pydock_runtime import abi, linux
from pydock_shared.errors import NotFound
from pydock_shared.framing import STDERR, STDOUT, Demuxer
from pydock_shared.wire.container import CreateContainer

LABEL = "io.pydock.build"
PIECE = 1 << 16
INSIDE = abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_SYMLINKS


@asynccontextmanager
async def container(
    containers: Containers, image: Image, config: dict[str, Any], *, keep: bool = False
) -> AsyncIterator[Container]:
    """Give a container of an image that is removed at the end, whatever happens; `keep` leaves one that went well."""
    body = CreateContainer.model_validate({**config, "Image": image.id, "Labels": {LABEL: "1"}})
    made, _ = await create.create(containers, body, None, marked=False)
    made.in_build = True
    kept = False
    try:
        yield made
        kept = keep
    finally:
        if not kept:
            await asyncio.shield(remove.remove(containers, made, force=True, volumes=True))


_Text = codecs.getincrementaldecoder("utf-8")


class Say(Protocol):
    """Is told what a program writes."""

    async def __call__(self, text: str, *, error: bool) -> None:
        """Take in a piece, and whether it was written to standard error."""


async def run(containers: Containers, made: Container, say: Say) -> int:
    """Run a container to its end, telling its output as it comes; return its exit code."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        await attach.attach(containers, made, Attachment(theirs, False, True, True, True))
        exit_code = wait.prepare(made, "next-exit")
        await start.start(containers, made)
        streams = {STDOUT: _Text("replace"), STDERR: _Text("replace")}
        loop, demuxer, piece = asyncio.get_running_loop(), Demuxer(), b"-"
        while piece:
            piece = await loop.sock_recv(ours, PIECE)
            for stream, data in demuxer.feed(piece) if piece else ((stream, b"") for stream in streams):
                if text := streams[stream].decode(data, final=not piece):
                    await say(text, error=stream == STDERR)
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


async def missing(containers: Containers, made: Container, paths: list[str]) -> list[str]:
    """Return those of the paths, and of the folders above them, that the image of a container does not have."""
    found: list[str] = []
    for path in paths:
        at = path
        while at not in ("", "/", *found) and not await _has(containers, made, at):
            found.append(at)
            at = posixpath.dirname(at)
    return found


async def _has(containers: Containers, made: Container, path: str) -> bool:
    try:
        async with filesystem.opened(containers, made, "stat", bare=True, path=path) as child:
            await child.answer()
    except NotFound:
        return False
    return True


def remove_stubs(containers: Containers, made: Container, paths: list[str]) -> None:
    """Remove what was only there to mount something on: it is no part of the layer, unless something was written."""
    written = os.open(containers.snapshots.upper(made.id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(paths, reverse=True):
            with suppress(OSError):
                folder = linux.openat2(written, posixpath.dirname(path), os.O_PATH | os.O_DIRECTORY, resolve=INSIDE)
                try:
                    _remove_empty(posixpath.basename(path), folder)
                finally:
                    os.close(folder)
    finally:
        os.close(written)


def _remove_empty(name: str, folder: int) -> None:
    found, above = os.lstat(name, dir_fd=folder), os.fstat(folder)
    if stat.S_ISDIR(found.st_mode):
        os.rmdir(name, dir_fd=folder)
    elif stat.S_ISREG(found.st_mode) and not found.st_size:
        os.unlink(name, dir_fd=folder)
    os.utime(f"/proc/self/fd/{folder}", ns=(above.st_atime_ns, above.st_mtime_ns))


async def set_time(containers: Containers, made: Container, path: str, mtime: float) -> None:
    """Give a folder of a container a time; one that is only below what the container wrote is left alone."""
    about = await archive.about(containers, made, path)
    with suppress(OSError):
        root = os.open(containers.snapshots.upper(made.id), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = linux.openat2(root, about["linkTarget"] or path, os.O_PATH | os.O_DIRECTORY, resolve=INSIDE)
            try:
                os.utime(f"/proc/self/fd/{found}", (mtime, mtime))
            finally:
                os.close(found)
        finally:
            os.close(root)


def sweep_folders(root: Path) -> None:
    """Remove the files of builds of a daemon that was killed, and what it had mounted there."""
    for folder in root.glob("*/*/"):
        with suppress(OSError):
            linux.umount2(str(folder), abi.MNT_DETACH)
    shutil.rmtree(root, ignore_errors=True)


def clean(folder: Path) -> None:
    """Remove the files of a build."""
    for path in folder.iterdir():
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    os.rmdir(folder)
