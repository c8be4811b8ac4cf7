"""Copies of clients' folders that stay here, so that only what has changed is sent again. Used by `frontend`.

A copy is a folder of the data root: `pack` with the bytes of all files, and `index` with what the client told of each.
Files that are gone or have changed leave their bytes behind; when they are more than the rest the copy is begun anew.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgpack

from pydock_daemon.builder.tree import Node, Tree

from .filesync import Kept, Told, receive
from .session import Client
from .state import BuildKit

FOLDER = "build-contexts"
MOST = 16
"""Copies that are kept: those used last."""


@dataclass
class Copy:
    """A copy in use. `users` are the builds that read it."""

    users: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@asynccontextmanager
async def synced(
    buildkit: BuildKit, root: Path, client: Client, name: str, question: list[tuple[str, str]], told: Told
) -> AsyncIterator[Tree]:
    """Give the files of a client's folder, as a tree that is there until the end of the block.

    `root` is the data root. A client without a shared key gets a copy for this once.
    """
    whole = "\0".join([client.name, client.shared_key, name, *(f"{key}={value}" for key, value in sorted(question))])
    key = hashlib.sha256(whole.encode()).hexdigest()[:32] if client.shared_key else os.urandom(16).hex()
    copy = buildkit.contexts.setdefault(key, Copy())
    folder = root / FOLDER / key
    copy.users += 1
    try:
        async with copy.lock:
            nodes = await _update(folder, client, question, told, alone=copy.users == 1)
        yield Tree.of(folder / "pack", nodes)
    finally:
        copy.users -= 1
        if not copy.users:
            del buildkit.contexts[key]
            if not client.shared_key:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
        await asyncio.shield(asyncio.to_thread(_limit, root / FOLDER, buildkit))


async def _update(
    folder: Path, client: Client, question: list[tuple[str, str]], told: Told, *, alone: bool
) -> list[Node]:
    kept = await asyncio.to_thread(_open, folder, alone=alone)
    try:
        nodes = await receive(client, question, kept, told)
        await asyncio.to_thread(_save, folder, kept)
        return nodes
    finally:
        os.close(kept.pack)


def _open(folder: Path, *, alone: bool) -> Kept:
    """Return what is kept; nothing when it is damaged, or when nobody reads it and most of it is of no use."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = Kept(os.open(folder / "pack", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    size = os.fstat(kept.pack).st_size
    try:
        index = msgpack.unpackb((folder / "index").read_bytes(), use_list=False)
        kept.known = {facts[0]: (facts, offset) for facts, offset in index}
        ends = [offset + facts[5] for facts, offset in kept.known.values()]
        if max(ends, default=0) > size:
            kept.known = {}
    except (OSError, ValueError, TypeError, IndexError, msgpack.UnpackException):
        kept.known = {}
    used = sum(facts[5] for facts, _ in kept.known.values())
    if alone and used * 2 < size:
        (folder / "index").unlink(missing_ok=True)
        os.ftruncate(kept.pack, 0)
        kept.known, size = {}, 0
    kept.end = size
    return kept


def _save(folder: Path, kept: Kept) -> None:
    made = folder / "index.new"
    made.write_bytes(msgpack.packb(list(kept.known.values())))
    made.rename(folder / "index")


def _limit(root: Path, buildkit: BuildKit) -> None:
    """Remove the copies that nobody has used for the longest time, as far as there are too many."""
    ages = []
    for folder in root.iterdir() if root.is_dir() else ():
        with suppress(OSError):
            ages.append(((folder / "index").stat().st_mtime if (folder / "index").exists() else 0, folder))
    for _, folder in sorted(ages, reverse=True)[MOST:]:
        if folder.name not in buildkit.contexts:
            shutil.rmtree(folder, ignore_errors=True)


def forget(buildkit: BuildKit, root: Path) -> int:
    """Remove all copies that are not in use; return the bytes that came free."""
    freed = 0
    for folder in (root / FOLDER).iterdir() if (root / FOLDER).is_dir() else ():
        if folder.name not in buildkit.contexts:
            with suppress(OSError):
                freed += (folder / "pack").stat().st_size
            shutil.rmtree(folder, ignore_errors=True)
    return freed
