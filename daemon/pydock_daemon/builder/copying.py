"""COPY and ADD: which files go where, with which owner and mode, as an archive and as a digest. Used by `steps`; pure.

Docker's rules: several sources need a folder as destination; of a folder its contents are copied; a file goes to the
destination's name, or into it where that is a folder or ends in a slash.
"""

import hashlib
import posixpath
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydock_shared.errors import InvalidArgument
from pydock_shared.ignore import Patterns

from . import members
from .likeness import Row
from .tree import FILE, FOLDER, LINK, OTHER, WILD, Node, Tree

SYMBOLIC = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")
MASKS = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
PIECE = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)
BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


class Item(NamedTuple):
    """A file and the path below the root where it will be; `source` numbers the source that it belongs to."""

    node: Node
    target: str
    source: int = 0


@dataclass(frozen=True)
class Rules:
    """What an instruction says of all of its files."""

    chmod: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    owners: bool = False
    """Whether files keep their owners, as those of a stage do; those of a context belong to root."""
    alike: bool = False
    """Whether a destination is all that a folder is, as in a mount."""


def select(tree: Tree, sources: list[str], destination: str, *, is_folder: bool, rules: Rules) -> list[Item]:
    """Return the files for a destination, an absolute path; `is_folder` says that it is one already.

    InvalidArgument names a source that is not there.
    """
    found = [pair for source in sources for pair in _found(tree, source)]
    into = destination.endswith("/") or is_folder or rules.parents
    if not destination.endswith("/") and (len(sources) > 1 or (len(found) > 1 and not is_folder)):
        raise InvalidArgument(
            "When using COPY with more than one source file, the destination must be a directory and end with a /"
        )
    place = destination.strip("/")
    excluded = Patterns("\n".join(rules.exclude))
    items: list[Item] = []
    for number, (path, node) in enumerate(found):
        items += _one(tree, path, node, place, number, into=into, rules=rules)
    return [item for item in items if not excluded.ignores(item.node.path)] if excluded else items


def _found(tree: Tree, source: str) -> list[tuple[str, Node]]:
    found = tree.matching(source)
    if not found:
        if WILD & set(source):
            raise InvalidArgument(f"COPY failed: no source files were specified: {source}")
        raise InvalidArgument(f'COPY failed: "/{source.lstrip("/")}": not found: it is not there, or excluded by '
                              ".dockerignore")  # fmt: skip
    return found


def inside(items: list[Item], destination: str, rules: Rules) -> tuple[list[Item], Node | None]:
    """Return what goes into a destination, and the folder whose time that has then, if one was copied last.

    As with BuildKit it has nothing else of such a folder: one that is there keeps its mode and owner.
    """
    if rules.alike:
        return items, None
    place, tops, rest = destination.strip("/"), list[Item](), list[Item]()
    for item in items:
        (tops if item.target == place and item.node.kind == FOLDER else rest).append(item)
    return rest, tops[-1].node if tops and tops[-1].source == items[-1].source else None


def _one(tree: Tree, path: str, node: Node, place: str, number: int, *, into: bool, rules: Rules) -> Iterator[Item]:
    """Yield what a source is, `path` its name and `node` what that leads to; a folder before what is in it."""
    if node.kind == OTHER:
        raise InvalidArgument(f"COPY failed: {path} is neither a file nor a folder")
    if rules.parents:
        place = posixpath.join(place, posixpath.dirname(path))
        if node.kind == FOLDER:
            place = posixpath.join(place, posixpath.basename(path))
    if node.kind == FOLDER:
        if place and node.path:
            yield Item(node, place, number)
        for child in tree.below(node):
            below = child.path[len(node.path) :].lstrip("/")
            if child.kind != OTHER:
                yield Item(child, f"{place}/{below}" if place else below, number)
        return
    yield Item(node, posixpath.join(place, posixpath.basename(path)) if into else place, number)


def mode_of(text: str, mode: int, *, is_folder: bool) -> int:
    """Return a mode changed by `--chmod`: octal, or symbolic as of chmod(1). InvalidArgument when it is neither."""
    if re.fullmatch("[0-7]{3,4}", text):
        return int(text, 8)
    for part in text.split(","):
        found = SYMBOLIC.fullmatch(part)
        if not found:
            raise InvalidArgument(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            )
        mask = 0
        for who in found[1] or "a":
            mask |= MASKS[who]
        bits = 0
        for letter in found[3]:
            bits |= BITS.get(letter, 0o111 if letter == "X" and (is_folder or mode & 0o111) else 0)
        bits &= mask
        mode = {"+": mode | bits, "-": mode & ~bits, "=": (mode & ~(mask & 0o777)) | bits}[found[2]]
    return mode


def digest(tree: Tree, items: list[Item], rules: Rules) -> str:
    """Return a digest of everything that makes a difference to the result; times do not."""
    hashed = hashlib.sha256()
    for item in items:
        node = item.node
        mode = mode_of(rules.chmod, node.mode, is_folder=node.kind == FOLDER) if rules.chmod else node.mode
        told = node.digest if node.digest or node.kind != FILE else _sha256(tree, node)
        owner = (node.uid, node.gid) if rules.owners else None
        facts = (item.target, node.kind, mode, node.size, node.target if node.kind == LINK else "", owner, told)
        hashed.update(repr(facts).encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def _sha256(tree: Tree, node: Node) -> str:
    hashed = hashlib.sha256()
    for piece in tree.pieces(node):
        hashed.update(piece)
    return hashed.hexdigest()


def rows(
    items: list[Item],
    rules: Rules,
    *,
    mtime: int | None,
    owner: tuple[int, int] | None = None,
    above: Sequence[tarfile.TarInfo] = (),
) -> Iterator[Row]:
    """Yield the members of the archive that is unpacked at the root, those `above` first.

    Everything belongs to root, or to `owner`, or to whom it did (`Rules.owners`); no time is after `mtime`.
    """
    for info in above:
        info.mtime = min(info.mtime, mtime) if mtime is not None else info.mtime
        yield info, None
    written: dict[tuple[int, str], str] = {}
    for item in items:
        info = _member(item, rules, mtime, owner)
        first = written.setdefault((item.source, item.node.linked), item.target) if item.node.linked else ""
        if first and first != item.target:
            info.type, info.size, info.linkname = tarfile.LNKTYPE, 0, first
        yield info, item.node if info.type == tarfile.REGTYPE else None


def archive(tree: Tree, rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield an archive."""
    for row in rows:
        yield from member(tree, *row)
    yield END


def member(tree: Tree, info: tarfile.TarInfo, node: Node | None) -> Iterator[bytes]:
    """Yield one member of an archive."""
    yield members.head(info)
    if node:
        yield from tree.pieces(node)
        yield bytes(-info.size % tarfile.BLOCKSIZE)


def write(tree: Tree, rows: Iterable[Row], path: Path) -> None:
    """Write an archive to a file."""
    with path.open("wb") as file:
        for piece in batches(archive(tree, rows)):
            file.write(piece)


def batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of a megabyte or more."""
    batch, size = list[bytes](), 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(batch)
            batch, size = [], 0
    yield b"".join(batch)


def _member(item: Item, rules: Rules, mtime: int | None, owner: tuple[int, int] | None) -> tarfile.TarInfo:
    node, info = item.node, tarfile.TarInfo(item.target or ".")
    if owner or rules.owners:
        info.uid, info.gid = owner or (node.uid, node.gid)
    info.mtime = min(node.mtime, mtime) if mtime is not None else node.mtime
    is_folder = node.kind == FOLDER
    info.mode = mode_of(rules.chmod, node.mode, is_folder=is_folder) if rules.chmod else node.mode
    info.type = {FOLDER: tarfile.DIRTYPE, LINK: tarfile.SYMTYPE}.get(node.kind, tarfile.REGTYPE)
    info.linkname = node.target if node.kind == LINK else ""
    info.size = node.size if node.kind == FILE else 0
    info.pax_headers = dict(node.headers)
    return info


def folders(path: str, archive: Path, *, mtime: int | None) -> None:
    """Write an archive with one folder and those above it, of this moment unless there is an `mtime`."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(folder(path, int(time.time()) if mtime is None else mtime))


def folder(path: str, mtime: float) -> tarfile.TarInfo:
    """Return the member that a new folder is."""
    info = tarfile.TarInfo(path.strip("/"))
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, mtime
    return info
