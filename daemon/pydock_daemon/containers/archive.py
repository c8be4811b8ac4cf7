"""`/containers/{id}/archive`, `/export` and `/changes`: the files of a container, out and in. Used by api.archives."""

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydock_daemon.files.process import Child, NoSuchFile
from pydock_shared.errors import NotFound, Unavailable
from pydock_shared.times import rfc3339

from . import filesystem
from .model import Container
from .service import Containers
from .spec import bind_mounts

PATIENCE = 30.0
"""Seconds for a look at one path: a file system of the container's own making may never answer."""

# Bits of Go's os.FileMode, in which Docker says what a path is, by what stat(2) says.
KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def go_mode(mode: int) -> int:
    """Return a mode of stat(2) as Go's os.FileMode."""
    found = stat.S_IMODE(mode) & 0o777 | KINDS.get(stat.S_IFMT(mode), 0)
    return found | sum(go for bit, go in BITS.items() if mode & bit)


def _wire(about: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": about["name"],
        "size": about["size"],
        "mode": go_mode(about["mode"]),
        "mtime": rfc3339(about["mtime"]),
        "linkTarget": about["link"],
    }


@asynccontextmanager
async def _named(container: Container, path: str, called: str) -> AsyncIterator[None]:
    """Say of what is missing that it is a file of a container, in Docker's words: as it was `called` in the request."""
    try:
        yield
    except NoSuchFile as error:
        raise NotFound(f"Could not find the file {path} in container {called or container.name}") from error


async def about(containers: Containers, container: Container, path: str, *, called: str = "") -> dict[str, Any]:
    """Return what a path is, as Docker's PathStat; NotFound when there is nothing."""
    try:
        async with (
            asyncio.timeout(PATIENCE),
            _named(container, path, called),
            filesystem.opened(containers, container, "stat", path=path) as child,
        ):
            return _wire(await child.answer())
    except TimeoutError as error:
        raise Unavailable(f"the file system of container {container.name} does not answer") from error


@asynccontextmanager
async def taken(
    containers: Containers, container: Container, path: str, *, called: str = ""
) -> AsyncIterator[tuple[dict[str, Any], Child]]:
    """Give the PathStat of a path and the child whose output is its archive."""
    async with _named(container, path, called), filesystem.opened(containers, container, "get", path=path) as child:
        found = _wire(await child.answer())
        containers.publish(container, "archive-path")
        yield found, child


async def put(
    containers: Containers,
    container: Container,
    path: str,
    read: Callable[[], Awaitable[bytes]],
    *,
    keep_kinds: bool,
    owner: str = "",
    called: str = "",
) -> None:
    """Unpack an archive, compressed or not, in a folder of the container.

    With `keep_kinds` no folder becomes a file or the other way round; with an `owner`, `user[:group]` by the
    container's own files, everything belongs to that one. Forbidden where the container itself may not write,
    InvalidArgument for a bad archive.
    """
    fields: dict[str, Any] = {
        "path": path,
        "keep_kinds": keep_kinds,
        "user": owner,
        "ids": containers.remap.count if containers.remap and container.host.userns_mode != "host" else None,
        "mounted": [mount["destination"] for mount in bind_mounts(container, {})],
    }
    opened = filesystem.opened(containers, container, "put", write=True, **fields)
    container.puts += 1
    try:
        async with _named(container, path, called), opened as child:
            await child.feed(read)
    finally:
        container.puts += 1
    containers.publish(container, "extract-to-dir")


@asynccontextmanager
async def exported(containers: Containers, container: Container) -> AsyncIterator[Child]:
    """Give the child whose output is the archive of the container's root, without what is mounted in it."""
    async with filesystem.opened(containers, container, "export", bare=True) as child:
        await child.answer()
        yield child


@asynccontextmanager
async def changed(containers: Containers, container: Container) -> AsyncIterator[Child]:
    """Give the child whose output is Docker's JSON of what the container has changed."""
    async with filesystem.difference(containers, container, "changes") as child:
        await child.answer()
        yield child
