"""Contexts of clients, kept for the next build: only what is not here is sent. For `api.build` and `buildkit`.

    packs/          the bytes of files, by digest (`packs`), for both kinds of clients
    lists/DIGEST    the list of the files of a context (`listing`), by its own digest
    notes/DIGEST    answers about the files of a list, and the packs that have all of them: a build of which nothing
                    has changed reads neither the list nor a file
    told/KEY        what a client of BuildKit has told of its files (`buildkit.contexts`)
    layers/KEY      what is known of the layer that a COPY has made last (`direct`)

`Contexts` owns the folder. All but the packs is worth nothing without them, and goes with them.
"""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

from pydock_daemon.snapshots.tarstream import FILE as REGULAR
from pydock_daemon.snapshots.tarstream import Archive, ArchiveError
from pydock_shared.errors import InvalidArgument, NotFound

from . import listing
from .listed import Listed, Reader
from .packs import FRESH, Packs, age
from .tree import Node

PATIENCE = 600.0
"""Seconds after which a context that nobody builds is forgotten."""
LONGEST_LIST = 1 << 28
MOST_NOTES, MOST_BYTES = 64, 1 << 28
"""Files in each of the folders besides that of the packs, and their bytes."""
KINDS = ("lists", "notes", "told", "layers")
Notes = dict[str, Any]


@dataclass
class Begun:
    """A context under way: what its list is called, the files that were asked for, and the
    list if it was read."""

    digest: str
    notes: Notes
    missing: list[str]
    reader: Reader
    nodes: list[Node] | None = None
    building: bool = False
    since: float = field(default_factory=time.monotonic)


class Contexts:
    """The contexts of one engine."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder of all of them; it need not be there."""
        self._root = root
        self.packs = Packs(root / "packs")
        self._begun: dict[str, Begun] = {}

    def known(self, digest: str) -> str:
        """Begin with a list that is here with all of its files; return an id, nothing when it is not. In a thread."""
        reader, notes = Reader(self.packs), self.notes(digest)
        if not notes or not (self._root / "lists" / digest).exists() or not self.packs.use(notes["packs"], reader.used):
            return ""
        return self._add(Begun(digest, notes, [], reader))

    def begin(self, pieces: Iterable[bytes]) -> tuple[str, list[str]]:
        """Take in a list; return an id for it and the digests of the files that are not here, in order. In a thread."""
        raw = b"".join(_limited(pieces))
        nodes, reader = listing.nodes(raw), Reader(self.packs)
        wanted = dict.fromkeys(node.digest for node in nodes if node.digest)
        try:
            reader.places = self.packs.find(wanted, reader.used)
            digest = hashlib.sha256(raw).hexdigest()
            self.write("lists", digest, raw)
            missing = [file for file in wanted if file not in reader.places]
            return self._add(Begun(digest, self.notes(digest), missing, reader, nodes)), missing
        except BaseException:
            reader.close()
            raise

    def _add(self, begun: Begun) -> str:
        self.expire()
        name = secrets.token_hex(16)
        self._begun[name] = begun
        return name

    def expire(self) -> None:
        """Forget what was begun long ago and is not built."""
        for name, begun in list(self._begun.items()):
            if not begun.building and time.monotonic() - begun.since > PATIENCE:
                self._forget(name)

    def fill(self, name: str, pieces: Iterable[bytes]) -> None:
        """Take in an archive of files, whatever they are called in it; those that nobody wants go. In a thread."""
        begun = self._get(name)
        wanted, pack, good = set(begun.missing), self.packs.begin(), False
        try:
            archive = Archive(iter(pieces))
            for entry in archive:
                if entry.kind == REGULAR:
                    pack.add(archive.contents(), wanted)
            good = True
        except ArchiveError as error:
            raise InvalidArgument(f"invalid archive: {error}") from error
        finally:
            self.packs.end(pack, begun.reader.used, good=good)

    async def tree(self, name: str) -> Listed:
        """Return the files of a context; InvalidArgument when some are missing still."""
        begun = self._get(name)
        begun.building = True
        await asyncio.to_thread(begun.reader.locate, set(begun.missing))
        begun.notes = {"packs": tuple(sorted(begun.reader.used)), "answers": begun.notes.get("answers", {})}
        given, path = begun.nodes, self._root / "lists" / begun.digest
        return Listed(lambda: given or listing.nodes(path.read_bytes()), begun.reader, begun.notes["answers"])

    async def drop(self, name: str) -> None:
        """Forget a context; what it had stays for the next."""
        if begun := self._forget(name):
            await asyncio.to_thread(self.settle, begun.digest, begun.notes)

    def _forget(self, name: str) -> Begun | None:
        begun = self._begun.pop(name, None)
        if begun:
            begun.reader.close()
        return begun

    def _get(self, name: str) -> Begun:
        if name not in self._begun:
            raise NotFound(f"no such build context: {name}")
        return self._begun[name]

    # What is known of contexts, besides their bytes. In a thread.

    def notes(self, digest: str) -> Notes:
        """Return what is known of a list or of what a client told, by its digest; nothing when it is not known."""
        return self.read("notes", digest) or {}

    def settle(self, digest: str, notes: Notes) -> None:
        """Keep what is known of a list, when it is something new, and remove what there is too much of."""
        if notes and notes != self.notes(digest):
            self.write("notes", digest, msgpack.packb(notes))
        self.packs.limit()
        for kind in KINDS:
            self._limit(self._root / kind)

    def read(self, kind: str, name: str) -> Any:
        """Return what was written as msgpack, None when it is not there or damaged."""
        path = self._root / kind / name
        try:
            found = msgpack.unpackb(path.read_bytes(), use_list=False, unicode_errors="surrogateescape")
            if time.time() - path.stat().st_mtime > FRESH:
                os.utime(path)
            return found
        except (OSError, ValueError, msgpack.UnpackException):
            return None

    def write(self, kind: str, name: str, data: bytes) -> None:
        """Write one of these files, whole or not at all."""
        path = self._root / kind / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = path.with_name(f"{name}.{secrets.token_hex(8)}")
        try:
            made.write_bytes(data)
            made.rename(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise

    def _limit(self, folder: Path) -> None:
        total = 0
        for number, path in enumerate(sorted(folder.glob("*"), key=age)):
            with suppress(OSError):
                total += path.stat().st_size
                if number >= MOST_NOTES or total > MOST_BYTES:
                    path.unlink()

    def entries(self) -> list[dict[str, Any]]:
        """Return what is kept as Docker's BuildCache records, the youngest first; `Context` is a name for `remove`."""
        self.expire()
        return self.packs.entries()

    def remove(self, name: str) -> bool:
        """Remove an entry, unless it is in use; say whether it is gone."""
        return self.packs.remove(name)

    def clear(self) -> int:
        """Remove all that is not in use, and return the bytes that came free."""
        freed: int = sum(entry["Size"] for entry in self.packs.entries() if self.packs.remove(entry["Context"]))
        if not self._begun:
            for path in [path for kind in KINDS for path in (self._root / kind).glob("*")]:
                freed += path.stat().st_size
                path.unlink()
        return freed


def _limited(pieces: Iterable[bytes]) -> Iterator[bytes]:
    left = LONGEST_LIST
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise InvalidArgument(f"invalid context: a list of more than {LONGEST_LIST} bytes")
        yield piece
