"""A folder as a tar stream: a layer's difference, a whole root file system, or a part of a container's.

Used by `containers` and by the children of `files` through plain iterators of bytes. Names come sorted, so that the
same tree always gives the same bytes. The tree may change meanwhile: what vanishes is left out, and a file has the
length that its header says. Links are not followed, yet a folder may become one between two looks, so a tree that
somebody else can write to is read by a process that has its root there.
"""

import os
import stat
import tarfile
from collections.abc import Iterator

PIECE = 1 << 20
OPAQUE = b"trusted.overlay.opaque"
KEPT_XATTRS = ("security.capability", "user.")
END = bytes(2 * tarfile.BLOCKSIZE)
KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
Place = str | os.PathLike[str]
Links = dict[tuple[int, int], str]
"""The first name of each file that has several, by device and inode."""


def export_rootfs(root: Place) -> Iterator[bytes]:
    """Yield the tar of a whole tree. Sockets are left out: no archive format has them."""
    links: Links = {}
    for name, path in walk(os.fspath(root), ".", ""):
        yield from member(name, path, links)
    yield END


def subtree(path: str, name: str) -> Iterator[bytes]:
    """Yield the tar of one file or folder whose first entry is called `name`."""
    links: Links = {}
    for found, at in walk(path, name, name if name.endswith("/") else f"{name}/"):
        yield from member(found, at, links)
    yield END


def layer_of(upper: Place) -> Iterator[bytes]:
    """Yield the OCI layer of an overlayfs upper folder: its whiteouts and opaque folders in the form of layers."""
    links: Links = {}
    for name, path in walk(os.fspath(upper), ".", ""):
        if is_whiteout(path):
            yield whiteout(name)
            continue
        yield from member(name, path, links)
        if is_opaque(path):
            yield _empty_file(f"{name}/.wh..wh..opq" if name != "." else ".wh..wh..opq")
    yield END


def size(folder: Place) -> int:
    """Return the bytes of the files of a tree, each once however many names it has."""
    total, seen, pending = 0, set[tuple[int, int]](), [os.fspath(folder)]
    while pending:
        for item in _found(pending.pop()):
            if item.is_dir(follow_symlinks=False):
                pending.append(item.path)
                continue
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def walk(path: str, name: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield name and path of a file, and below a folder of everything in it; there `prefix` begins the names."""
    yield name, path
    pending = [(prefix, iter(listed(path)))]
    while pending:
        above, items = pending[-1]
        item = next(items, None)
        if item is None:
            pending.pop()
            continue
        inner = f"{above}{item.name}"
        yield inner, item.path
        if item.is_dir(follow_symlinks=False):
            pending.append((f"{inner}/", iter(listed(item.path))))


def listed(path: str) -> list["os.DirEntry[str]"]:
    """Return what is in a folder, by name; nothing for what is no folder, or not any more."""
    return sorted(_found(path), key=lambda item: item.name)


def _found(path: str) -> list["os.DirEntry[str]"]:
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return []
        with os.scandir(path) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def member(name: str, path: str, links: Links) -> Iterator[bytes]:
    """Yield one file as it stands in an archive; nothing when it has gone, or is a socket."""
    try:
        status = os.lstat(path)
        file = opened(path) if stat.S_ISREG(status.st_mode) else -1
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        status = os.fstat(file) if file >= 0 else status
        if stat.S_IFMT(status.st_mode) not in KINDS:
            return
        try:
            entry = _entry(name, path, status, links)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if file >= 0 and entry.isreg():
            yield from _contents(file, entry.size)
    finally:
        if file >= 0:
            os.close(file)


def opened(path: str) -> int:
    """Open a file for reading; what has become a pipe meanwhile is not waited for."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _entry(name: str, path: str, status: os.stat_result, links: Links) -> tarfile.TarInfo:
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
    for key, value in attributes(path).items():
        records[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
    entry.pax_headers = records
    return entry


def attributes(path: Place) -> dict[str, bytes]:
    """Return the extended attributes of a file that an archive keeps."""
    return {
        key: os.getxattr(path, key, follow_symlinks=False)
        for key in os.listxattr(path, follow_symlinks=False)
        if key.startswith(KEPT_XATTRS) and not key.startswith("user.overlay.")
    }


def copy_root(source: Place, target: Place) -> None:
    """Let the root of a layer look as another: the merged root looks as the topmost one does."""
    found = os.stat(source)
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))
    for key, value in attributes(source).items():
        os.setxattr(target, key, value)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _contents(file: int, count: int) -> Iterator[bytes]:
    """Yield exactly `count` bytes and the padding: a file that shrinks meanwhile is filled up with zeros."""
    padding = -count % tarfile.BLOCKSIZE
    while count:
        piece = os.read(file, min(PIECE, count)) or bytes(min(PIECE, count))
        count -= len(piece)
        yield piece
    yield bytes(padding)


def whiteout(name: str) -> bytes:
    """Return the mark in a layer that hides what lies below under this name."""
    folder, _, base = name.rpartition("/")
    return _empty_file(f"{folder}/.wh.{base}" if folder else f".wh.{base}")


def _empty_file(name: str) -> bytes:
    return tarfile.TarInfo(name).tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def is_whiteout(path: str) -> bool:
    """Say whether a file is overlayfs's mark of a removed one."""
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: str) -> bool:
    """Say whether a folder of overlayfs hides everything below it."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        return False
    return "trusted.overlay.opaque" in os.listxattr(path) and os.getxattr(path, OPAQUE) == b"y"
