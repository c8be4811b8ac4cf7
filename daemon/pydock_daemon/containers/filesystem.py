"""The file system of a container for work from outside: which view a child enters. Used by archive, export and commit.

While the container runs that is its own mounts. While it does not they are made for the occasion; who writes then
holds the container's lock, so that it cannot start meanwhile.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydock_daemon.files import process
from pydock_daemon.files.process import Child, Ended
from pydock_shared.errors import Conflict, Unavailable

from . import files, sources, wait
from .model import Container, Status
from .service import Containers
from .spec import bind_mounts

PATIENCE = 10.0
"""Seconds until the end of a process that is no more must be known."""


@asynccontextmanager
async def opened(
    containers: Containers, container: Container, verb: str, *, write: bool = False, bare: bool = False, **fields: Any
) -> AsyncIterator[Child]:
    """Give a child in the container's file system; `bare` leaves out volumes and all else that is mounted."""
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise Conflict(f"container {container.id} is marked for removal")
    async with AsyncExitStack() as stack:
        child = None
        while child is None:
            if container.alive:
                child = await _running(containers, container, stack, verb, fields, bare=bare)
            else:
                child = await _stopped(containers, container, stack, verb, fields, write=write, bare=bare)
        yield child


async def _running(
    containers: Containers,
    container: Container,
    stack: AsyncExitStack,
    verb: str,
    fields: dict[str, Any],
    *,
    bare: bool,
) -> Child | None:
    """Start a child in the mounts of a running container; None when that has ended, which then is settled."""
    try:
        pidfd = os.pidfd_open(container.state.pid)
        stack.callback(os.close, pidfd)
        if process.is_of(container.state.pid, pidfd, container.id):
            users = process.has_users(container.state.pid)
            view = {"kind": "running", "pidfd": pidfd, "bare": bare, "users": users}
            forks = containers.snapshots.forks
            child = await stack.enter_async_context(process.started(forks, verb, view, **fields))
            container.visitors.add(child)
            stack.callback(container.visitors.discard, child)
            return child
    except (ProcessLookupError, Ended):
        pass
    if container.alive:
        try:
            async with asyncio.timeout(PATIENCE):
                await wait.prepare(container, "next-exit")
        except TimeoutError as error:
            raise Unavailable(f"the mounts of container {container.name} cannot be entered") from error
    return None


async def _stopped(
    containers: Containers,
    container: Container,
    stack: AsyncExitStack,
    verb: str,
    fields: dict[str, Any],
    *,
    write: bool,
    bare: bool,
) -> Child | None:
    """Start a child in the mounts that a stopped container would have; None when it runs by now."""
    async with AsyncExitStack() as locked:
        await locked.enter_async_context(container.lock)
        if container.alive:
            return None
        view: dict[str, Any] = {
            "kind": "stopped",
            "overlay": containers.snapshots.overlay(container.id),
            "stage": str(containers.snapshots.stage),
            "mounts": [],
            "folder": None if bare or container.in_build else container.config.working_dir,
            "read_only": bool(container.host.readonly_rootfs),
            "write": write,
        }
        async with _sources(containers, container, bare=bare) as mounts:
            view["mounts"] = mounts
            child = await stack.enter_async_context(process.started(containers.snapshots.forks, verb, view, **fields))
        if write:
            stack.push_async_exit(locked.pop_all())
        return child


@asynccontextmanager
async def _sources(containers: Containers, container: Container, *, bare: bool) -> AsyncIterator[list[dict[str, Any]]]:
    """Give what is bound into the container, in order; the child has mounts of its own as soon as it has begun."""
    if bare or container.in_build:
        yield []
        return
    user = f"{container.id} {secrets.token_hex(4)}"
    try:
        async with sources.ready(containers, container, user) as parts:
            yield _mounts(containers, container, parts)
    finally:
        await asyncio.shield(containers.volumes.mounts.release(user))


def _mounts(containers: Containers, container: Container, parts: dict[str, str]) -> list[dict[str, Any]]:
    own = bind_mounts(container, parts)
    covered = {mount["destination"] for mount in own}
    kept = [
        {"destination": target, "source": path, "options": ["rbind"]}
        for target, path in files.paths(containers, container).items()
        if target not in covered
    ]
    mounts = [*kept, *own]
    if containers.remap:
        from . import remapped  # whoever has no such containers does not pay for it

        remapped.back(containers, container, mounts)
    return mounts


@asynccontextmanager
async def difference(containers: Containers, container: Container, verb: str) -> AsyncIterator[Child]:
    """Give a child that sees what the container was made from beside what it wrote."""
    view = {
        "kind": "difference",
        "overlay": containers.snapshots.overlay(container.id),
        "stage": str(containers.snapshots.stage),
    }
    async with process.started(containers.snapshots.forks, verb, view) as child:
        yield child
