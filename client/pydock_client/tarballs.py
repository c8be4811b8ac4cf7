"""Tar archives as streams of pieces: files of this host packed, archives of containers unpacked. Used by cp, build.

What comes out of a container is not trusted: nothing is written outside the place it was meant for, neither by `..` nor
through a symbolic link that the archive made.
"""

from __future__ import annotations

import os
import stat
import tarfile
from io import RawIOBase

from pydock_shared.errors import PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import BinaryIO

    from pydock_shared.ignore import Patterns

_PIECE = 1 << 20
_END = b"\0" * 1024


def pack(source: str, name: str, *, follow: bool = False, owners: bool = True) -> Iterator[bytes]:
    """Yield an archive of a file or a folder whose first entry is called `name` ("" for the contents of a folder)."""
    yield from _entry(source, name, follow=follow, owners=owners)
    yield _END


def pack_context(folder: str, ignored: Patterns, kept: Collection[str], more: dict[str, bytes]) -> Iterator[bytes]:
    """Yield an archive of a folder for a build: without what is ignored, unless it is `kept`, and with `more` files."""
    yield from _entry(folder, "", follow=True, owners=False, ignored=ignored, kept=kept)
    for name, data in more.items():
        yield from _text(name, data)
    yield _END


def pack_text(name: str, data: bytes) -> Iterator[bytes]:
    """Yield an archive with one file."""
    yield from _text(name, data)
    yield _END


def _text(name: str, data: bytes) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + data + b"\0" * (-len(data) % 512)


def _entry(
    path: str,
    name: str,
    *,
    follow: bool,
    owners: bool,
    ignored: Patterns | None = None,
    kept: Collection[str] = (),
) -> Iterator[bytes]:
    facts = os.stat(path) if follow else os.lstat(path)
    is_folder = stat.S_ISDIR(facts.st_mode)
    if ignored and name and name not in kept:
        if ignored.ignores_all_of(name) and not any(other.startswith(f"{name}/") for other in kept):
            return
        if ignored.ignores(name) and not is_folder:
            return
    if name and not (ignored and ignored.ignores(name) and name not in kept):
        yield from _member(path, name, facts, owners=owners)
    if is_folder:
        for child in sorted(os.listdir(path)):
            inner = f"{name}/{child}".lstrip("/")
            yield from _entry(os.path.join(path, child), inner, follow=False, owners=owners, ignored=ignored, kept=kept)


_KINDS = (
    (stat.S_ISREG, tarfile.REGTYPE),
    (stat.S_ISDIR, tarfile.DIRTYPE),
    (stat.S_ISLNK, tarfile.SYMTYPE),
    (stat.S_ISFIFO, tarfile.FIFOTYPE),
    (stat.S_ISCHR, tarfile.CHRTYPE),
    (stat.S_ISBLK, tarfile.BLKTYPE),
)


def _member(path: str, name: str, facts: os.stat_result, *, owners: bool) -> Iterator[bytes]:
    kind = next((kind for check, kind in _KINDS if check(facts.st_mode)), None)
    if kind is None:
        return  # a socket, which no archive can hold
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, stat.S_IMODE(facts.st_mode), facts.st_mtime
    if owners:
        info.uid, info.gid = facts.st_uid, facts.st_gid
    if kind == tarfile.SYMTYPE:
        info.linkname = os.readlink(path)
    elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(facts.st_rdev), os.minor(facts.st_rdev)
    elif kind == tarfile.REGTYPE:
        info.size = facts.st_size
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    if kind == tarfile.REGTYPE:
        yield from _content(path, info.size)


def _content(path: str, size: int) -> Iterator[bytes]:
    """Yield exactly the size that the header promised, whatever happens to the file meanwhile."""
    left = size
    with open(path, "rb", buffering=0) as file:
        while left:
            piece = file.read(min(left, _PIECE)) or b"\0" * min(left, _PIECE)
            left -= len(piece)
            yield piece
    yield b"\0" * (-size % 512)


class Pieces(RawIOBase):
    """Pieces as a file that can be read once."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = iter(source)
        self._rest = b""
        self.count = 0

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, fewer only at the end."""
        found = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            piece = next(self._source, b"")
            if not piece:
                break
            found.append(piece)
            have += len(piece)
        data = b"".join(found)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        self.count += len(data[:cut])
        return data[:cut]


def unpack(source: BinaryIO | Pieces, target: str, *, owners: bool, whole: bool = False) -> None:
    """Unpack an archive so that its first entry becomes `target`, whatever it is called; `whole`: all go into it."""
    root = os.path.realpath(target if whole else os.path.dirname(target)) + "/"
    folders: list[tuple[str, tarfile.TarInfo]] = []
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            rest = _below(member.name, whole=whole)
            path = os.path.join(target, rest) if rest else target
            if rest or not whole:
                _check(path, target, root)
            if member.isdir():
                os.makedirs(path, exist_ok=True)
                folders.append((path, member))
                continue
            _write(archive, member, path, target, root, whole=whole)
            _facts(path, member, owners=owners)
    for path, member in reversed(folders):  # the times of a folder change with what is written into it
        _facts(path, member, owners=owners)


def _check(path: str, target: str, root: str) -> None:
    """Refuse a path that leads out of the target, by its words or through a link."""
    inside = os.path.normpath(path)
    if inside != os.path.normpath(target) and not inside.startswith(os.path.normpath(target) + "/"):
        raise PydockError(f"invalid archive: {path} is outside of {target}")
    parent = os.path.realpath(os.path.dirname(path)) + "/"
    if not parent.startswith(root):
        raise PydockError(f"invalid archive: {path} leads out of {target} through a link")


def _below(name: str, *, whole: bool) -> str:
    rest = name.lstrip("/") if whole else name.partition("/")[2]
    return "" if rest.rstrip("/") in ("", ".") else rest.rstrip("/")


def _write(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, target: str, root: str, *, whole: bool
) -> None:
    if os.path.lexists(path) and not os.path.isdir(path):
        os.unlink(path)
    if member.isreg():
        content = archive.extractfile(member)
        assert content is not None
        with open(path, "xb") as file:
            while data := content.read(_PIECE):
                file.write(data)
    elif member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        other = os.path.join(target, _below(member.linkname, whole=whole))
        _check(other, target, root)
        os.link(other, path, follow_symlinks=False)
    elif member.isfifo():
        os.mkfifo(path)
    elif member.isdev():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, kind | member.mode, os.makedev(member.devmajor, member.devminor))


def _facts(path: str, member: tarfile.TarInfo, *, owners: bool) -> None:
    """Give a file its owner, mode and time; a symbolic link has no mode, and a hard link shares the other's."""
    if member.islnk():
        return
    if owners:
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode & 0o7777)
    os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)
