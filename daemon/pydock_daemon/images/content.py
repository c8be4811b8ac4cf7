"""The content store: blobs by digest below its root (DATA_ROOT/content). Used by everything of `images`.

    blobs/sha256/<hex>    whole, verified bytes; visible once their row is committed
    ingest/               bytes that are still coming; at start only the young <hex>.part stay, to be taken up again

A blob comes in by an `Ingest`: written to a temporary name and hashed on the way, synced, renamed, and then committed.
The rows are read and written on the event loop only; `Ingest` may work in any thread.
"""

import asyncio
import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from pydock_daemon.store import Store
from pydock_shared.errors import InvalidArgument, NotFound

SCHEMA = """
create table if not exists blobs (
    digest text primary key,
    size integer not null
);
"""
log = logging.getLogger("pydockd.images")
LARGEST_DOCUMENT = 8 << 20
PIECE = 1 << 20
NEW = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
PARTIAL = ".part"
PARTIAL_AGE = 24 * 3600  # seconds after which nobody is expected to go on with a blob
WORTH_KEEPING = 1 << 20  # bytes below which a download begins anew


class Ingest:
    """A blob on its way in. Whoever opens one calls `close`, which removes it unless it was committed or is kept."""

    def __init__(self, path: Path, descriptor: int, busy: set[Path]) -> None:
        """Work on an open file; its path is in `busy` until `close`."""
        self.path, self._busy = path, busy
        self.size = 0
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self._hash = hashlib.sha256()
        self._kept = False

    def resume(self) -> None:
        """Take what an earlier attempt has left as written."""
        while piece := self._file.read(PIECE):
            self._hash.update(piece)
            self.size += len(piece)

    def keep(self) -> None:
        """Leave what there is to the next attempt, if it is worth it."""
        self._kept = self.size >= WORTH_KEEPING

    @property
    def digest(self) -> str:
        """Return the digest of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._hash.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.size = hashlib.sha256(), 0

    def finish(self) -> None:
        """Bring the bytes to the disk."""
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Remove what was not committed and is not kept."""
        self._file.close()
        if not self._kept:
            self.path.unlink(missing_ok=True)
        self._busy.discard(self.path)


class Content:
    """The blobs of one data root."""

    def __init__(self, root: Path, store: Store) -> None:
        """Open what is below `root` and remove what an interrupted run left there."""
        self._store = store
        self._ingest_at, self._blobs_at = root / "ingest", root / "blobs/sha256"
        self._remover = ThreadPoolExecutor(1, "content")
        self._busy: set[Path] = set()
        for folder in (self._ingest_at, self._blobs_at):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clear(time.time() - PARTIAL_AGE)
        self._sizes: dict[str, int] = {row["digest"]: row["size"] for row in store.all("select * from blobs")}
        self._pins: Counter[str] = Counter()
        self._recover()

    def _recover(self) -> None:
        """Bring rows and files together: each without the other is what a crash has left."""
        files = {path.name for path in self._blobs_at.iterdir()}
        known = {digest.removeprefix("sha256:") for digest in self._sizes}
        for name in files - known:
            (self._blobs_at / name).unlink()
        with self._store.transaction() as db:
            for name in known - files:
                log.warning("content sha256:%s is lost: its file is gone", name)
                db.execute("delete from blobs where digest = ?", (f"sha256:{name}",))
                del self._sizes[f"sha256:{name}"]

    def __contains__(self, digest: str) -> bool:
        return digest in self._sizes

    def _clear(self, oldest: float) -> None:
        for path in self._ingest_at.iterdir():
            if path.suffix != PARTIAL or path.stat().st_mtime < oldest:
                path.unlink()

    def ingest(self) -> Ingest:
        """Begin a blob."""
        path = self._ingest_at / os.urandom(8).hex()
        self._busy.add(path)
        return Ingest(path, os.open(path, NEW | os.O_EXCL, 0o600), self._busy)

    def partial(self, digest: str) -> Ingest:
        """Begin a blob whose digest is known, or go on with it: see `Ingest.resume`. One caller a digest at a time."""
        path = self._partial(digest)
        self._busy.add(path)
        return Ingest(path, os.open(path, NEW, 0o600), self._busy)

    def drop_partials(self) -> int:
        """Remove what interrupted operations have left and none under way goes on with; return the bytes."""
        held = {self._partial(digest) for digest in self._pins}
        total = 0
        for path in self._ingest_at.glob(f"*{PARTIAL}"):
            if path not in held:
                total += path.stat().st_size
                path.unlink()
        return total

    def _partial(self, digest: str) -> Path:
        return self._ingest_at / f"{digest.removeprefix('sha256:')}{PARTIAL}"

    def commit(self, ingest: Ingest) -> str:
        """Make a finished blob visible and return its digest; the same bytes twice are one blob."""
        digest = ingest.digest
        if digest not in self._sizes:
            ingest.path.rename(self._path(digest))
            with self._store.transaction() as db:
                db.execute("insert into blobs (digest, size) values (?, ?)", (digest, ingest.size))
            self._sizes[digest] = ingest.size
        return digest

    def add(self, data: bytes) -> str:
        """Store a small document and return its digest."""
        ingest = self.ingest()
        try:
            ingest.write(data)
            ingest.finish()
            return self.commit(ingest)
        finally:
            ingest.close()

    def path(self, digest: str) -> Path:
        """Return the file of a blob; NotFound when it is not here."""
        self.size(digest)
        return self._path(digest)

    def size(self, digest: str) -> int:
        """Return the bytes of a blob; NotFound when it is not here."""
        try:
            return self._sizes[digest]
        except KeyError as error:
            raise NotFound(f"content {digest}: not found") from error

    def read(self, digest: str) -> bytes:
        """Return the bytes of a small document; InvalidArgument when it is not small."""
        if self.size(digest) > LARGEST_DOCUMENT:
            raise InvalidArgument(f"content {digest} is too large for a document: {self.size(digest)} bytes")
        return self._path(digest).read_bytes()

    @contextmanager
    def pinned(self) -> Iterator["Pins"]:
        """Give a set of digests, of present and future blobs, that no sweep touches during the block."""
        pins = Pins(self._pins)
        try:
            yield pins
        finally:
            pins.release()

    def held(self, digest: str) -> bool:
        """Say whether an operation under way holds a blob."""
        return digest in self._pins

    def sweep(self, keep: Iterable[str]) -> int:
        """Remove the blobs that are neither in `keep` nor pinned; return their bytes."""
        alive = {*keep, *self._pins}
        dead = [digest for digest in self._sizes if digest not in alive]
        with self._store.transaction() as db:
            db.executemany("delete from blobs where digest = ?", [(digest,) for digest in dead])
        total = 0
        for digest in dead:
            total += self._sizes.pop(digest)
            # Out of sight at once, so that the same blob may come back; freeing a large file takes its time.
            gone = self._ingest_at / f"{os.urandom(8).hex()}.gone"
            with suppress(FileNotFoundError):
                self._path(digest).rename(gone)
                self._busy.add(gone)
                self._remover.submit(self._free, gone)
        return total

    def _free(self, gone: Path) -> None:
        try:
            gone.unlink(missing_ok=True)
        finally:
            self._busy.discard(gone)

    # What `upkeep` looks at

    def __iter__(self) -> Iterator[str]:
        """Yield the digest of every blob."""
        return iter(list(self._sizes))

    def total(self) -> int:
        """Return the bytes of all blobs."""
        return sum(self._sizes.values())

    def strays(self) -> list[Path]:
        """Return the files that no blob and nothing under way owns."""
        oldest = time.time() - PARTIAL_AGE
        found = [path for path in self._blobs_at.iterdir() if f"sha256:{path.name}" not in self._sizes]
        for path in self._ingest_at.iterdir():
            with suppress(FileNotFoundError):
                resumable = path.suffix == PARTIAL and path.stat().st_mtime >= oldest
                if path not in self._busy and not resumable:
                    found.append(path)
        return found

    def lost(self) -> list[str]:
        """Return the digests whose file is gone or has not their size."""
        return [digest for digest, size in self._sizes.items() if _size(self._path(digest)) != size]

    def verify(self, digest: str) -> bool:
        """Read a blob and say whether it is what its digest says; in a thread. One that went meanwhile is fine."""
        try:
            with self._path(digest).open("rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest
        except FileNotFoundError:
            return digest not in self._sizes

    def forget(self, digest: str) -> None:
        """Remove a blob, whoever needs it."""
        with self._store.transaction() as db:
            db.execute("delete from blobs where digest = ?", (digest,))
        self._sizes.pop(digest, None)
        self._path(digest).unlink(missing_ok=True)

    async def settled(self) -> None:
        """Wait until the removals that were asked for are done."""
        await asyncio.wrap_future(self._remover.submit(lambda: None))

    def close(self) -> None:
        """Wait for the removals under way."""
        self._remover.shutdown()

    def _path(self, digest: str) -> Path:
        return self._blobs_at / digest.removeprefix("sha256:")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


class Pins:
    """Digests held by one operation."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._held: list[str] = []

    def hold(self, *digests: str) -> None:
        """Hold further digests."""
        self._held += digests
        self._counts.update(digests)

    def release(self) -> None:
        """Let go of all."""
        self._counts.subtract(self._held)
        for digest in self._held:
            if self._counts[digest] <= 0:
                del self._counts[digest]
        self._held = []
