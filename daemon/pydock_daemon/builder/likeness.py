"""What is remembered of the layer of a COPY, so that the next one of the same instruction costs what has changed.

Used by `direct`; pure. Of each file there is a digest of all that the archive says of it. Two things follow from
what is the same: the layer's folder need only have what is different, over the folder of the layer before; and
the blob, which is made of pieces that are compressed each by itself, takes over the pieces that it had before (gzip's
format allows several members: RFC 1952, 2.2).
"""

import hashlib
import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .tree import Node

MOST_DIFFERENT = 4
"""One in so many files may be different; of more a whole folder is made."""
SHORT, WHITEOUT = 16, ".wh."
PIECE, LONGEST_PIECE = 1 << 18, 1 << 22
CUT = 8
"""One in so many files ends a piece that is long enough."""
Row = tuple[tarfile.TarInfo, Node | None]
"""A member of the archive, and the file with its bytes if it has some."""


class File(NamedTuple):
    """A member of an archive: its name, the digest of all that is told of it, its bytes, and whether it is a folder."""

    name: str
    key: bytes
    size: int
    is_folder: bool


class Piece(NamedTuple):
    """Members that are compressed together: a digest of them, and how many they are."""

    key: bytes
    members: int


class Known(NamedTuple):
    """A layer that was made: the chain id of one with all files, and those; the blob, and where its pieces begin."""

    base: str
    keys: Mapping[str, bytes]
    blob: str
    pieces: Mapping[bytes, tuple[int, int]]


class Difference(NamedTuple):
    """The members that the archive of what is different has, and the paths that are gone."""

    names: frozenset[str]
    gone: list[str]


def files(rows: Iterable[Row]) -> list[File] | None:
    """Return the members of an archive; None where one is not told by name and digest alone, or hides another."""
    found, names = list[File](), set[str]()
    for info, node in rows:
        hides = posixpath.basename(info.name).startswith(WHITEOUT)
        if hides or info.type == tarfile.LNKTYPE or info.name in names or (node and node.size and not node.digest):
            return None
        names.add(info.name)
        facts = (
            info.type, info.mode, info.uid, info.gid, info.size, info.mtime, info.linkname, info.pax_headers,
            node.digest if node else "",
        )  # fmt: skip
        text = f"{info.name}\0{facts!r}".encode("utf-8", "surrogateescape")
        size = len(os.fsencode(info.linkname)) if info.issym() else info.size
        found.append(File(info.name, hashlib.sha256(text).digest()[:SHORT], size, info.isdir()))
    return found


def pieces(found: list[File]) -> Iterator[Piece]:
    """Yield the pieces of an archive. Where one ends is said by its files, so that changes do not move the others."""
    hashed, count, size = hashlib.sha256(), 0, 0
    for file in found:
        hashed.update(file.key)
        count, size = count + 1, size + file.size + tarfile.BLOCKSIZE
        if size >= LONGEST_PIECE or (size >= PIECE and file.key[0] % CUT == 0):
            yield Piece(hashed.digest()[:SHORT], count)
            hashed, count, size = hashlib.sha256(), 0, 0
    if count:
        yield Piece(hashed.digest()[:SHORT], count)


def difference(found: list[File], before: Mapping[str, bytes]) -> Difference | None:
    """Return what is different; None when it is too much. With a member there are the folders above it."""
    names = {file.name for file in found if before.get(file.name) != file.key}
    lost = before.keys() - {file.name for file in found}
    if (len(names) + len(lost)) * MOST_DIFFERENT > len(found):
        return None
    folders = {file.name for file in found if file.is_folder}
    gone = sorted(name for name in lost if posixpath.dirname(name) in folders)
    for name in [*names, *gone]:
        while name := posixpath.dirname(name):
            names.add(name)
    return Difference(frozenset(names), gone)


def whiteout(path: str) -> tarfile.TarInfo:
    """Return the member that says that a path is gone."""
    return tarfile.TarInfo(posixpath.join(posixpath.dirname(path), f"{WHITEOUT}{posixpath.basename(path)}"))
