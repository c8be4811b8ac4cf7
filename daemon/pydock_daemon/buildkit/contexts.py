"""What a client told of its files, kept for the next time, so that it is asked only for what has changed.

Their bytes are with those of all contexts (`builder.contexts`). Used by `sources`.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from pydock_daemon.builder.contexts import Contexts
from pydock_daemon.builder.listed import Listed, Reader
from pydock_daemon.builder.tree import Node

from . import filesync
from .filesync import Known, Told
from .session import Client

KIND = "told"


@asynccontextmanager
async def synced(
    contexts: Contexts, client: Client, name: str, question: list[tuple[str, str]], told: Told
) -> AsyncIterator[Listed]:
    """Give the files of a client's folder, as a tree that is there until the end of the block.

    Of a client without a shared key nothing is remembered.
    """
    whole = "\0".join([client.name, client.shared_key, name, *(f"{key}={value}" for key, value in sorted(question))])
    key = hashlib.sha256(whole.encode()).hexdigest() if client.shared_key else ""
    reader = Reader(contexts.packs)
    try:
        before = await asyncio.to_thread(_before, contexts, key, reader) if key else {}
        pack, good = await asyncio.to_thread(contexts.packs.begin), False
        try:
            files = await filesync.receive(client, question, before, pack, told)
            good = True
        finally:
            await asyncio.shield(asyncio.to_thread(contexts.packs.end, pack, reader.used, good=good))
        digest, notes, nodes = await asyncio.to_thread(_kept, contexts, key, files, reader)
        yield Listed(lambda: nodes, reader, notes["answers"])
        await asyncio.to_thread(contexts.settle, digest, notes)
    finally:
        reader.close()


def _before(contexts: Contexts, key: str, reader: Reader) -> dict[str, Known]:
    """Return the files that were told the last time and whose bytes are here."""
    try:
        known = [Known(*file) for file in contexts.read(KIND, key) or ()]
        reader.places = contexts.packs.find({file.digest for file in known if file.digest}, reader.used)
        return {file.facts[0]: file for file in known if file.digest in reader.places}
    except (TypeError, ValueError, IndexError):
        return {}  # damaged


def _kept(contexts: Contexts, key: str, files: list[Known], reader: Reader) -> tuple[str, dict[str, Any], list[Node]]:
    """Write down what was told, and return its digest, what is known of such files, and the files."""
    reader.locate({file.digest for file in files if file.digest})
    told = msgpack.packb(files)
    digest = hashlib.sha256(told).hexdigest()
    if key:
        contexts.write(KIND, key, told)
    notes = {"packs": tuple(sorted(reader.used)), "answers": contexts.notes(digest).get("answers", {})}
    return digest, notes, filesync.nodes(files)
