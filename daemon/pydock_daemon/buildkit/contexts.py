"""What a client told of its files, and their bytes, kept for the next time. Used by `frontend`.

A copy (`builder.kept`) has a `pack` with the bytes of all files, and an `index` with what was told of each and where it
is. Files that are gone or have changed leave their bytes behind; when those are most of it, the copy is begun anew.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack

from pydock_daemon.builder.kept import Kept
from pydock_daemon.builder.tree import Node, Tree

from .filesync import Known, Pack, Told, receive
from .session import Client


@asynccontextmanager
async def synced(
    kept: Kept, client: Client, name: str, question: list[tuple[str, str]], told: Told
) -> AsyncIterator[Tree]:
    """Give the files of a client's folder, as a tree that is there until the end of the block.

    A client without a shared key gets a copy for this once.
    """
    whole = "\0".join([client.name, client.shared_key, name, *(f"{key}={value}" for key, value in sorted(question))])
    key = hashlib.sha256(whole.encode()).hexdigest()[:32] if client.shared_key else os.urandom(16).hex()
    async with kept.used(key, stays=bool(client.shared_key)) as folder:
        async with kept.lock(key):
            nodes = await _update(folder, client, question, told, alone=kept.alone(key))
            kept.touch(key)
        yield Tree.of(folder / "pack", nodes)


async def _update(
    folder: Path, client: Client, question: list[tuple[str, str]], told: Told, *, alone: bool
) -> list[Node]:
    pack = await asyncio.to_thread(_open, folder, alone=alone)
    try:
        nodes = await receive(client, question, pack, told)
        await asyncio.to_thread(_save, folder, pack)
        return nodes
    finally:
        os.close(pack.file)


def _open(folder: Path, *, alone: bool) -> Pack:
    """Return what is kept; nothing when it is damaged, or when nobody reads it and most of it is of no use."""
    pack = Pack(os.open(folder / "pack", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    size = os.fstat(pack.file).st_size
    try:
        index = msgpack.unpackb((folder / "index").read_bytes(), use_list=False)
        pack.known = {facts[0]: Known(facts, offset, digest) for facts, offset, digest in index}
        if max((one.offset + one.facts[5] for one in pack.known.values()), default=0) > size:
            pack.known = {}
    except (OSError, ValueError, TypeError, IndexError, msgpack.UnpackException):
        pack.known = {}
    if alone and sum(one.facts[5] for one in pack.known.values()) * 2 < size:
        (folder / "index").unlink(missing_ok=True)
        os.ftruncate(pack.file, 0)
        pack.known, size = {}, 0
    pack.end = size
    return pack


def _save(folder: Path, pack: Pack) -> None:
    made = folder / "index.new"
    made.write_bytes(msgpack.packb(list(pack.known.values())))
    made.rename(folder / "index")
