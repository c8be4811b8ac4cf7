"""The files of one image archive, taken in as it comes. Used by load.

Every file becomes an ingest of the content store, hashed while written; `close` drops those that were not committed.
"""

import asyncio
import os
from collections.abc import Iterator

from pydock_daemon.snapshots import compression
from pydock_daemon.snapshots.tarstream import FILE, HARD_LINK, SYMLINK, Archive, ArchiveError
from pydock_shared.errors import InvalidArgument, PydockError

from . import manifest
from .content import LARGEST_DOCUMENT, Content, Ingest
from .manifest import Descriptor

MOST_FILES = 100_000


class Collected:
    """The files of one archive, as ingests; `close` drops those that were not committed."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._files: dict[str, Ingest] = {}
        self._links: dict[str, str] = {}
        self._by_digest: dict[str, Ingest] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def fill(self, chunks: Iterator[bytes]) -> None:
        """Take in a whole archive; in a thread."""
        archive = Archive(compression.decompressed(chunks))
        for entry in archive:
            name = _plain(entry.name)
            if len(self._files) >= MOST_FILES:
                raise ArchiveError(f"more than {MOST_FILES} files in an image archive")
            if entry.kind == FILE:
                ingest = self._content.ingest()
                if earlier := self._files.pop(name, None):
                    earlier.close()
                self._files[name] = ingest
                for piece in archive.contents():
                    ingest.write(piece)
            elif entry.kind in (SYMLINK, HARD_LINK):
                folder = "" if entry.kind == HARD_LINK else os.path.dirname(name)
                self._links[name] = os.path.normpath(os.path.join(folder, os.fsdecode(entry.link)))
        self._by_digest = {ingest.digest: ingest for ingest in self._files.values()}

    def close(self) -> None:
        """Remove what was not committed."""
        for ingest in self._files.values():
            ingest.close()

    async def commit(self, digest: str) -> None:
        """Bring a blob of the archive into the store; an image can have the same layer twice, side by side."""
        async with self._locks.setdefault(digest, asyncio.Lock()):
            if digest in self._content:
                return
            ingest = self._by_digest.get(digest)
            if ingest is None:
                raise InvalidArgument(f"invalid archive: {digest} is not in it")
            await asyncio.to_thread(ingest.finish)
            self._content.commit(ingest)

    def __contains__(self, digest: str) -> bool:
        return digest in self._by_digest or digest in self._content

    def has_file(self, name: str) -> bool:
        """Say whether the archive has a file of this name."""
        return name in self._files

    def named(self, name: str) -> bytes:
        """Return a small file by its name."""
        return _bytes(self.file(name))

    def document(self, digest: str) -> bytes:
        """Return a small blob of the archive or of the store."""
        if digest in self._by_digest:
            return _bytes(self._by_digest[digest])
        if digest in self._content:
            return self._content.read(digest)
        raise InvalidArgument(f"invalid archive: {digest} is not in it")

    def layer(self, name: str) -> Descriptor:
        ingest = self.file(name)
        with ingest.path.open("rb") as file:
            kind = compression.detect(file.read(compression.HEAD))
        plain = manifest.LAYER_KINDS["none"]
        return Descriptor(ingest.digest, ingest.size, manifest.LAYER_KINDS.get(kind, f"{plain}+{kind}"))

    def file(self, name: str) -> Ingest:
        """Return a file by name; archives of old name the same layer several times by links."""
        for _ in range(8):
            if found := self._files.get(os.path.normpath(name)):
                return found
            if name not in self._links:
                break
            name = self._links[name]
        raise InvalidArgument(f"invalid archive: {name} is not in it")


def _plain(name: bytes) -> str:
    return os.path.normpath(os.fsdecode(name).lstrip("/"))


def _bytes(ingest: Ingest) -> bytes:
    if ingest.size > LARGEST_DOCUMENT:
        raise PydockError(f"invalid archive: a document of {ingest.size} bytes")
    return ingest.path.read_bytes()
