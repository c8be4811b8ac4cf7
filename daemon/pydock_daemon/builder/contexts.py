"""Contexts that come bit by bit: a list of files first, then the contents that are not here yet. Used by `api.build`.

The contents stay, by digest, for the next build: below DATA_ROOT/build-contents/XX/REST. `Contexts` owns the folder
and removes what was not used for longest when it grows too large.
"""

import asyncio
import hashlib
import json
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pydock_daemon.snapshots.extract import write
from pydock_daemon.snapshots.tarstream import FILE as REGULAR
from pydock_daemon.snapshots.tarstream import Archive, ArchiveError
from pydock_shared.errors import InvalidArgument, NotFound

from .tree import FILE, FOLDER, LINK, MOST, OTHER, Node, Tree

LARGEST = 4 << 30
"""Bytes of contents that are kept for later builds."""
PATIENCE = 600.0
"""Seconds after which a context that nobody builds is forgotten."""
FRESH = 3600.0
"""Seconds for which the time of a use is not written again."""
LONGEST_LINE = 1 << 16
KINDS = {"d": FOLDER, "f": FILE, "l": LINK, "o": OTHER}


class Contents:
    """Files by digest."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._used: Counter[str] = Counter()

    def path(self, digest: str) -> Path:
        """Return where the file of a digest is, or would be."""
        return self._root / digest[:2] / digest[2:]

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Return the digests whose files are not here; those that are have been used now."""
        lost, now = [], time.time()
        for digest in digests:
            path = f"{self._root}/{digest[:2]}/{digest[2:]}"
            try:
                if now - os.stat(path).st_mtime > FRESH:  # a time that is written costs more than one that is read
                    os.utime(path, (now, now))
            except FileNotFoundError:
                lost.append(digest)
        return lost

    def hold(self, digests: Iterable[str], number: int = 1) -> None:
        """Keep files from being removed; with -1 no longer."""
        for digest in digests:
            self._used[digest] += number
            if self._used[digest] <= 0:
                del self._used[digest]

    def add(self, pieces: Iterable[bytes | memoryview]) -> str:
        """Take in a file and return its digest; in a thread."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        hashed = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(dir=self._root, prefix="new-")
        try:
            for piece in pieces:
                hashed.update(piece)
                write(descriptor, piece)
            digest = hashed.hexdigest()
            place = self.path(digest)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            os.rename(name, place)
        except BaseException:
            os.unlink(name)
            raise
        finally:
            os.close(descriptor)
        return digest

    def files(self) -> list[tuple[float, int, str]]:
        """Return time of use, size and digest of every file that nobody uses, the one used longest ago first."""
        found = []
        for path in self._root.glob("??/*"):
            digest = path.parent.name + path.name
            if digest not in self._used:
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, digest))
        return sorted(found)

    def shrink(self, most: int = LARGEST) -> int:
        """Remove files until so many bytes are left; return the bytes that came free. In a thread."""
        files = self.files()
        total, freed = sum(size for _, size, _ in files), 0
        for _, size, digest in files:
            if total - freed <= most:
                break
            self.path(digest).unlink(missing_ok=True)
            freed += size
        return freed


class Listed(Tree):
    """The files of a list; their bytes are in the contents."""

    contents: Contents

    def opened(self, node: Node) -> BinaryIO:
        """Return the file of a node's digest."""
        return self.contents.path(node.digest).open("rb")


class Contexts:
    """The contexts that clients have begun to send."""

    def __init__(self, root: Path) -> None:
        self.contents = Contents(root)
        self._begun: dict[str, tuple[list[Node], set[str], list[str]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def begin(self, nodes: list[Node]) -> tuple[str, list[str]]:
        """Take in the files of a list; return an id for it and the digests of the contents that are not here."""
        digests = {node.digest for node in nodes if node.digest}
        self.contents.hold(digests)
        try:
            missing = await asyncio.to_thread(self.contents.missing, sorted(digests))
        except BaseException:
            self.contents.hold(digests, -1)
            raise
        name = secrets.token_hex(16)
        self._begun[name] = nodes, digests, missing
        self._timers[name] = asyncio.get_running_loop().call_later(PATIENCE, self.drop, name)
        return name, missing

    def fill(self, name: str, pieces: Iterable[bytes]) -> None:
        """Take in an archive of contents, whatever they are called in it. In a thread."""
        self._get(name)
        try:
            archive = Archive(iter(pieces))
            for entry in archive:
                if entry.kind == REGULAR:
                    self.contents.add(archive.contents())
        except ArchiveError as error:
            raise InvalidArgument(f"invalid archive: {error}") from error

    async def tree(self, name: str) -> Listed:
        """Return the files of a context; InvalidArgument when contents are missing still."""
        nodes, _, missing = self._get(name)
        missing = await asyncio.to_thread(self.contents.missing, missing)
        if missing:
            raise InvalidArgument(f"the context is not whole: {len(missing)} contents were not sent")
        made = Listed.of(Path(os.devnull), nodes)
        made.contents = self.contents
        return made

    def drop(self, name: str) -> None:
        """Forget a context; its contents stay."""
        _, digests, _ = self._begun.pop(name, ([], set(), []))
        self.contents.hold(digests, -1)
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _get(self, name: str) -> tuple[list[Node], set[str], list[str]]:
        if name not in self._begun:
            raise NotFound(f"no such build context: {name}")
        return self._begun[name]


def listed(pieces: Iterable[bytes]) -> list[Node]:
    """Return the files of a list; InvalidArgument names the line that is none."""
    return list(_nodes(pieces))


def _nodes(pieces: Iterable[bytes]) -> Iterator[Node]:
    """Yield the files of a list: lines of JSON, `[path, kind, mode, mtime, size, digest or target]`."""
    for number, line in enumerate(_lines(pieces)):
        if number >= MOST:
            raise InvalidArgument(f"invalid context: more than {MOST} files")
        try:
            path, kind, mode, mtime, size, rest = json.loads(line)
            digest = bytes.fromhex(rest).hex() if kind == "f" else ""
            if (kind == "f" and len(digest) != 64) or "\0" in path or not _relative(path):
                raise ValueError(path)
            yield Node(
                _relative(path), KINDS[kind], int(mode) & 0o7777, mtime=float(mtime), size=int(size), digest=digest,
                target=str(rest) if kind == "l" else "",
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidArgument(f"invalid context: line {number + 1}: {error}") from error


def _relative(path: str) -> str:
    return os.path.normpath(f"/{path}").lstrip("/")


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > LONGEST_LINE:
            raise InvalidArgument("invalid context: a line is too long")
    if rest:
        yield rest
