"""A folder as a tar stream: a layer's difference for commit, or a whole root file system for export.

Used by containers (export, commit) through plain iterators of bytes, in a thread. Names come sorted, so that the same
tree always gives the same bytes.
"""

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 1 << 20
OPAQUE = b"trusted.overlay.opaque"
KEPT_XATTRS = ("security.capability", "user.")
KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def export_rootfs(root: Path) -> Iterator[bytes]:
    """Yield the tar of a whole tree. Sockets are left out: no archive format has them."""
    return _tar(root, whiteouts=False)


def layer_of(upper: Path) -> Iterator[bytes]:
    """Yield the OCI layer of an overlayfs upper folder: its whiteouts and opaque folders in the form of layers."""
    return _tar(upper, whiteouts=True)


def size(folder: Path) -> int:
    """Return the bytes of the files of a tree, each once however many names it has."""
    total, seen, pending = 0, set[tuple[int, int]](), [os.fspath(folder)]
    while pending:
        with os.scandir(pending.pop()) as found:
            for item in found:
                status = item.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(item.path)
                elif status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    return total


def _tar(root: Path, *, whiteouts: bool) -> Iterator[bytes]:
    links: dict[tuple[int, int], str] = {}
    for name, path in _walk(os.fspath(root), ""):
        status = os.lstat(path)
        if whiteouts and stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            folder, _, base = name.rpartition("/")
            yield _empty_file(f"{folder}/.wh.{base}" if folder else f".wh.{base}")
            continue
        if stat.S_ISSOCK(status.st_mode):
            continue
        entry = _entry(name, path, status, links)
        yield entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if entry.isreg():
            yield from _contents(path, entry.size)
        if whiteouts and entry.isdir() and _is_opaque(path):
            yield _empty_file(f"{name}/.wh..wh..opq" if name != "." else ".wh..wh..opq")
    yield bytes(2 * tarfile.BLOCKSIZE)


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    if not prefix:
        yield ".", folder
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        name = f"{prefix}{item.name}"
        yield name, item.path
        if item.is_dir(follow_symlinks=False):
            yield from _walk(item.path, f"{name}/")


def _entry(name: str, path: str, status: os.stat_result, links: dict[tuple[int, int], str]) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = KINDS[stat.S_IFMT(status.st_mode)]
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid = status.st_uid, status.st_gid
    seconds, rest = divmod(status.st_mtime_ns, 1_000_000_000)
    entry.mtime = seconds
    records = {"mtime": f"{seconds}.{rest:09d}"} if rest and seconds >= 0 else {}
    same = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and not entry.isdir():
        if same in links:
            entry.type, entry.linkname, entry.pax_headers = tarfile.LNKTYPE, links[same], records
            return entry
        links[same] = name
    if entry.isreg():
        entry.size = status.st_size
    elif entry.issym():
        entry.linkname = os.readlink(path)
    elif entry.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    for key in os.listxattr(path, follow_symlinks=False):
        if key.startswith(KEPT_XATTRS) and not key.startswith("user.overlay."):
            value = os.getxattr(path, key, follow_symlinks=False)
            records[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
    entry.pax_headers = records
    return entry


def _contents(path: str, count: int) -> Iterator[bytes]:
    """Yield exactly `count` bytes and the padding: a file that shrinks meanwhile is filled up with zeros."""
    padding = -count % tarfile.BLOCKSIZE
    with open(path, "rb") as file:
        while count:
            piece = file.read(min(PIECE, count)) or bytes(min(PIECE, count))
            count -= len(piece)
            yield piece
    yield bytes(padding)


def _empty_file(name: str) -> bytes:
    return tarfile.TarInfo(name).tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _is_opaque(path: str) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path) and os.getxattr(path, OPAQUE) == b"y"
