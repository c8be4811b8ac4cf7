"""The bytes of files of contexts, by digest, kept for later builds. Used by `contexts`, and by `buildkit.contexts`.

    ID          a pack: the files that came together, one after the other
    ID.index    the boot that it was written in, and for each file its SHA-256, where it begins and its size

A pack is written to `ID.new`, renamed, and counts once its index is there; it never changes then. What is known of the
packs is read from the disk when it is asked for. Packs are not synced: those of an earlier boot of the host are not
believed, and their files come from the client once more. Every function may be called from any thread.
"""

import hashlib
import os
import secrets
import struct
import threading
import time
from collections import Counter
from collections.abc import Collection, Container, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydock_daemon.snapshots.extract import write

MOST, LARGEST = 256, 4 << 30
"""Packs that stay, and their bytes: those used last."""
FRESH = 3600.0
"""Seconds for which the time of a use is not written again."""
ROW = struct.Struct("=32sQQ")
INDEX, NEW = ".index", ".new"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Place(NamedTuple):
    """Where the bytes of a file are."""

    pack: str
    offset: int
    size: int


class Pack:
    """A pack that is being written. Whoever begins one closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.end = 0
        self.rows: dict[str, tuple[int, int]] = {}
        """Digest -> where it begins, size."""

    def add(self, pieces: Iterable[bytes | memoryview], wanted: Container[str]) -> None:
        """Append a file; one whose digest nobody wants, or that is here, is taken back."""
        hashed, end = hashlib.sha256(), self.end
        for piece in pieces:
            hashed.update(piece)
            write(self.file, piece)
            end += len(piece)
        digest = hashed.hexdigest()
        if digest in wanted and digest not in self.rows:
            self.rows[digest], self.end = (self.end, end - self.end), end
        else:
            os.truncate(self.file, os.lseek(self.file, self.end, os.SEEK_SET))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.file)


class Packs:
    """The packs of one engine."""

    def __init__(self, root: Path) -> None:
        """`root` is their folder; it need not be there."""
        self._root = root
        self._used: Counter[str] = Counter()
        self._begun: set[str] = set()
        self._lock = threading.Lock()
        self._boot = b""

    def begin(self) -> Pack:
        """Begin a pack."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = secrets.token_hex(16)
        self._begun.add(name)
        return Pack(self._root / f"{name}{NEW}")

    def end(self, pack: Pack, used: set[str], *, good: bool) -> None:
        """Take in a pack that is whole, which is in use then and added to `used`; or forget it.

        One of whose files others have all is not needed: those are used.
        """
        name = pack.path.stem
        pack.close()
        try:
            if good and len(self.find(pack.rows, used)) < len(pack.rows):
                rows = [ROW.pack(bytes.fromhex(digest), *place) for digest, place in pack.rows.items()]
                made = self._root / f"{name}{NEW}{INDEX}{NEW}"
                made.write_bytes(b"".join([self._this_boot(), *rows]))
                pack.path.rename(self._root / name)
                made.rename(self._root / f"{name}{INDEX}")
                self.use([name], used)
        finally:
            pack.path.unlink(missing_ok=True)
            self._begun.discard(name)

    def _this_boot(self) -> bytes:
        """Return what this boot of the host is called, 32 bytes; with the first call leftovers go."""
        with self._lock:
            if not self._boot:
                self._boot = BOOT.read_bytes().strip().replace(b"-", b"")
                self._recover()
            return self._boot

    def _recover(self) -> None:
        """Remove what is not whole, or of another boot."""
        whole = {index.stem for index in self._root.glob(f"*{INDEX}") if self._believed(index)}
        for path in self._root.glob("*"):
            if path.name.partition(".")[0] not in whole | self._begun:
                path.unlink(missing_ok=True)

    def _believed(self, index: Path) -> bool:
        with suppress(OSError), index.open("rb") as file:
            return file.read(len(self._boot)) == self._boot and (self._root / index.stem).exists()
        return False

    def find(self, digests: Collection[str], used: set[str]) -> dict[str, Place]:
        """Return where files are that are here; their packs are in use then and added to `used`."""
        left, found, head = {bytes.fromhex(digest) for digest in digests}, dict[str, Place](), len(self._this_boot())
        for index in sorted(self._root.glob(f"*{INDEX}"), key=age) if left else ():
            hits = _hits(index, head, left)
            if hits and self.use([index.stem], used):
                left -= hits.keys()
                found |= {digest.hex(): place for digest, place in hits.items()}
        return found

    def use(self, names: Iterable[str], used: set[str]) -> bool:
        """Say whether packs are here; they are in use then and added to `used`."""
        wanted = list(names)
        self._this_boot()
        with self._lock:
            if not all((self._root / f"{name}{INDEX}").exists() for name in wanted):
                return False
            for name in wanted:
                self._use(name, used)
            return True

    def _use(self, name: str, used: set[str]) -> None:
        if name in used:
            return
        used.add(name)
        self._used[name] += 1
        with suppress(OSError):  # a time that is written costs more than one that is read
            if time.time() - (self._root / f"{name}{INDEX}").stat().st_mtime > FRESH:
                os.utime(self._root / f"{name}{INDEX}")

    def leave(self, names: Iterable[str]) -> None:
        """Use packs no longer."""
        with self._lock:
            self._used.subtract(names)
            self._used += Counter()

    def opened(self, name: str) -> int:
        """Return a pack as a descriptor, the caller's."""
        return os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)

    def entries(self) -> list[dict[str, Any]]:
        """Return the packs as Docker's BuildCache records, the youngest first; `Context` is the name."""
        found = []
        for index in self._root.glob(f"*{INDEX}"):
            with suppress(OSError):
                about, pack = index.stat(), (self._root / index.stem).stat()
                found.append({
                    "ID": index.stem[:24], "Type": "source.local", "Description": "local source for context",
                    "InUse": index.stem in self._used, "Shared": False, "Size": pack.st_size + about.st_size,
                    "CreatedAt": pack.st_mtime_ns, "LastUsedAt": about.st_mtime_ns, "UsageCount": 1,
                    "Context": index.stem,
                })  # fmt: skip
        return sorted(found, key=lambda entry: -int(entry["LastUsedAt"]))

    def remove(self, name: str) -> bool:
        """Remove a pack, unless it is in use; say whether it is gone."""
        with self._lock:
            if name in self._used:
                return False
            (self._root / f"{name}{INDEX}").unlink(missing_ok=True)
            (self._root / name).unlink(missing_ok=True)
            return True

    def limit(self) -> None:
        """Remove those used longest ago when there are too many."""
        total = 0
        for number, entry in enumerate(self.entries()):
            total += entry["Size"]
            if number >= MOST or total > LARGEST:
                self.remove(entry["Context"])


def age(index: Path) -> float:
    """Return for the youngest the least."""
    try:
        return -index.stat().st_mtime
    except OSError:
        return 0.0


def _hits(index: Path, head: int, wanted: set[bytes]) -> dict[bytes, Place]:
    """Return where wanted files are in a pack."""
    with suppress(FileNotFoundError):
        rows = memoryview(index.read_bytes())[head:]
        whole = rows[: len(rows) // ROW.size * ROW.size]
        return {row[0]: Place(index.stem, row[1], row[2]) for row in ROW.iter_unpack(whole) if row[0] in wanted}
    return {}
