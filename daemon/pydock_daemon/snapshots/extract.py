"""Writing the members of an archive below the current root: how a layer is unpacked. Used by `unpack` and by `files`.

The program that does so has its root in the folder that is filled. The folder then is as overlayfs has it:
whiteouts are character devices 0/0, opaque folders carry `trusted.overlay.opaque` (kernel: filesystems/overlayfs).
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator

from pydock_daemon.snapshots import tarstream
from pydock_daemon.snapshots.tarstream import Archive, ArchiveError, Entry

READ = 1 << 18
HOLE = 1 << 16
WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
META = b".wh..wh."
OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
DEFAULT_ACL = b"system.posix_acl_default"
LONGEST_SHOWN = 200
LARGEST_ID = (1 << 32) - 2
EARLIEST, LATEST = -(1 << 31) * 10**9, (1 << 33) * 10**9


class Extractor:
    """Writes the members of one layer below the current root.

    Nothing that exists is ever opened: what stands in the way of an entry is removed first, and files are made with
    O_EXCL, so that no device, fifo or link is written through.
    """

    def __init__(self) -> None:
        self.size = 0
        self.has_root = False
        self._folders: dict[bytes, int] = {}
        self._defaults: dict[bytes, bytes] = {}
        """What is to be inherited in a folder, by those who come after us."""
        self._makers: dict[bytes, Callable[[Archive, Entry, bytes], None]] = {
            tarstream.FILE: self._file,
            tarstream.DIRECTORY: self._directory,
            tarstream.SYMLINK: self._symlink,
            tarstream.HARD_LINK: self._hard_link,
            tarstream.CHARACTER: self._node,
            tarstream.BLOCK_DEVICE: self._node,
            tarstream.FIFO: self._node,
        }

    def extract(self, archive: Archive) -> None:
        """Write every member; ArchiveError or OSError name the one that cannot be."""
        for entry in archive:
            name = inside(entry.name)
            base = name.rpartition(b"/")[2]
            if base.startswith(WHITEOUT):
                self._whiteout(name, base)
            else:
                self._member(archive, entry, name)
        self._set_times()

    def _member(self, archive: Archive, entry: Entry, name: bytes) -> None:
        if name == b"." and entry.kind != tarstream.DIRECTORY:
            raise ArchiveError("the root of the archive is no folder")
        if max(entry.uid, entry.gid) > LARGEST_ID or min(entry.uid, entry.gid) < 0:
            raise ArchiveError(f"{os.fsdecode(name)}: owner {entry.uid}:{entry.gid} is out of range")
        make = self._makers[entry.kind]
        try:
            make(archive, entry, name)
        except FileNotFoundError:
            # The parents have no entry of their own before; `lib/x` of a layer may well come without `lib`.
            self._parents(name)
            make(archive, entry, name)
        except FileExistsError:
            self._clear(entry, name)
            make(archive, entry, name)

    def _set_times(self) -> None:
        """Give the folders what would have changed, or been changed by, what was written into them."""
        for name, acl in self._defaults.items():
            if is_folder(name):
                set_xattr(name, DEFAULT_ACL, acl)
        for name, mtime in reversed(self._folders.items()):
            if is_folder(name):
                os.utime(name, ns=(mtime, mtime), follow_symlinks=False)

    def _parents(self, name: bytes) -> None:
        make_folder(os.path.dirname(name))

    def _clear(self, entry: Entry, name: bytes) -> None:
        """Remove what stands where an entry is to go. A folder over a whiteout of this layer hides the lower one."""
        found = os.lstat(name)
        if entry.kind == tarstream.DIRECTORY and is_whiteout(found):
            os.unlink(name)
            os.mkdir(name)
            os.setxattr(name, b"trusted.overlay.opaque", b"y", follow_symlinks=False)
        elif stat.S_ISDIR(found.st_mode):
            remove_tree(name)
        else:
            os.unlink(name)

    def _whiteout(self, name: bytes, base: bytes) -> None:
        folder = os.path.dirname(name)
        if base == OPAQUE:
            make_folder(folder or b".")
            os.setxattr(folder or b".", b"trusted.overlay.opaque", b"y", follow_symlinks=False)
            return
        if base.startswith(META):
            return  # aufs kept its own books under such names; they are no part of a layer
        path = os.path.join(folder, hidden_by(name, base))
        try:
            make_folder(folder or b".")
            os.mknod(path, stat.S_IFCHR, 0)
        except FileExistsError:
            # It hides the lower layers' file only; of this layer a folder stays and becomes opaque, a file just stays.
            if is_folder(path):
                os.setxattr(path, b"trusted.overlay.opaque", b"y", follow_symlinks=False)

    def _file(self, archive: Archive, entry: Entry, name: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, entry.mode & 0o777)
        try:
            if entry.sparse is not None:
                write_sparse(descriptor, archive, entry)
            else:
                write_contents(descriptor, archive, entry)
            os.fchown(descriptor, entry.uid, entry.gid)
            if entry.mode > 0o777:
                os.fchmod(descriptor, entry.mode)
            for key, value in entry.xattrs.items():
                set_xattr(descriptor, key, value)
            os.utime(descriptor, ns=times(entry))
        finally:
            os.close(descriptor)
        self.size += entry.real_size

    def _directory(self, archive: Archive, entry: Entry, name: bytes) -> None:
        if name == b".":
            self.has_root = True
        elif not is_folder(name):
            os.mkdir(name)
        os.chown(name, entry.uid, entry.gid, follow_symlinks=False)
        os.chmod(name, entry.mode)
        self._defaults.pop(name, None)
        if acl := entry.xattrs.pop(DEFAULT_ACL, None):
            self._defaults[name] = acl
        self._finish(entry, name)
        self._folders.pop(name, None)
        self._folders[name] = times(entry)[1]

    def _symlink(self, archive: Archive, entry: Entry, name: bytes) -> None:
        os.symlink(entry.link, name)
        os.lchown(name, entry.uid, entry.gid)
        self._finish(entry, name)
        self.size += len(entry.link)

    def _hard_link(self, archive: Archive, entry: Entry, name: bytes) -> None:
        target = inside(entry.link)
        if target == name:
            return
        try:
            found = os.lstat(target)
        except FileNotFoundError as error:
            raise ArchiveError(
                f"{os.fsdecode(name)}: hard link to {os.fsdecode(target)}, which is not there"
            ) from error
        if stat.S_ISDIR(found.st_mode):
            raise ArchiveError(f"{os.fsdecode(name)}: hard link to the folder {os.fsdecode(target)}")
        os.link(target, name, follow_symlinks=False)

    def _node(self, archive: Archive, entry: Entry, name: bytes) -> None:
        kind = {tarstream.CHARACTER: stat.S_IFCHR, tarstream.BLOCK_DEVICE: stat.S_IFBLK, tarstream.FIFO: stat.S_IFIFO}
        os.mknod(name, kind[entry.kind] | (entry.mode & 0o777), os.makedev(entry.major, entry.minor))
        os.lchown(name, entry.uid, entry.gid)
        if entry.mode > 0o777:
            os.chmod(name, entry.mode)
        self._finish(entry, name)

    def _finish(self, entry: Entry, name: bytes) -> None:
        for key, value in entry.xattrs.items():
            set_xattr(name, key, value)
        os.utime(name, ns=times(entry), follow_symlinks=False)


def hidden_by(name: bytes, base: bytes) -> bytes:
    """Return the name that a whiteout hides in its folder; ArchiveError when that is none."""
    hidden = base[len(WHITEOUT) :]
    if hidden in (b"", b".", b".."):
        raise ArchiveError(f"invalid whiteout: {os.fsdecode(name)}")
    return hidden


def inside(name: bytes) -> bytes:
    """Return a name relative to the root, `.` for the root itself; ArchiveError when it leads out of it."""
    if name.startswith(b"./"):
        name = name[2:]
    if name[:1] not in b"./" and b"/." not in name and b"//" not in name:
        return name.rstrip(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise ArchiveError(f"{os.fsdecode(name)!r} is outside of the archive's root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts) or b"."


def make_folder(name: bytes) -> None:
    """Make a folder and those above it that are missing, each with mode 0755."""
    before = os.umask(0o022)  # the mode of makedirs is that of the last one only
    try:
        os.makedirs(name, exist_ok=True)
    finally:
        os.umask(before)


def is_folder(name: bytes) -> bool:
    """Say whether a name is a folder, itself and not by a link."""
    try:
        return stat.S_ISDIR(os.lstat(name).st_mode)
    except FileNotFoundError:
        return False


def is_whiteout(found: os.stat_result) -> bool:
    """Say whether a file is overlayfs's mark of a removed one."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def remove_tree(name: bytes) -> None:
    """Remove a folder and what is in it; links in it are not followed."""
    for folder, folders, files, descriptor in os.fwalk(name, topdown=False, follow_symlinks=False):
        del folder
        for file in files:
            os.unlink(file, dir_fd=descriptor)
        for sub in folders:
            try:
                os.rmdir(sub, dir_fd=descriptor)
            except NotADirectoryError:
                os.unlink(sub, dir_fd=descriptor)
    os.rmdir(name)


def times(entry: Entry) -> tuple[int, int]:
    """Return access and modification time, within what file systems can hold."""
    moment = min(max(entry.mtime, EARLIEST), LATEST)
    return moment, moment


def set_xattr(target: int | bytes, key: bytes, value: bytes) -> None:
    """Set an attribute of an entry. Those that steer overlayfs itself are not an image's to set; those that the file
    system or the kind of file does not take are left out, as Docker does.
    """
    if key.startswith(OVERLAY_XATTRS):
        return
    try:
        if isinstance(target, int):
            os.setxattr(target, key, value)
        else:
            os.setxattr(target, key, value, follow_symlinks=False)
    except (NotADirectoryError, PermissionError):
        return
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL}  # EINVAL: a name whose prefix the kernel does not know


def write_contents(descriptor: int, archive: Archive, entry: Entry) -> None:
    """Write a file; long zeros become a hole, so that a few megabytes of an archive cannot fill a disk with them."""
    has_hole = False
    for piece in archive.contents():
        if len(piece) >= HOLE and piece[0] == 0 and bytes(piece) == bytes(len(piece)):
            os.lseek(descriptor, len(piece), os.SEEK_CUR)
            has_hole = True
        else:
            write(descriptor, piece)
    if has_hole:
        os.ftruncate(descriptor, entry.real_size)


def write(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of the bytes."""
    done = os.write(descriptor, data)
    while done < len(data):
        done += os.write(descriptor, data[done:])


def write_sparse(descriptor: int, archive: Archive, entry: Entry) -> None:
    """Write a file with holes: the stream holds only the parts that its map names."""
    parts = entry.sparse or []
    end = 0
    for offset, length in parts:
        if offset < end or length < 0 or offset + length > entry.real_size:
            raise ArchiveError(f"{os.fsdecode(entry.name)}: invalid sparse map")
        end = offset + length
    if sum(length for _, length in parts) != archive.left:
        raise ArchiveError(f"{os.fsdecode(entry.name)}: sparse map and data differ")
    pieces = archive.contents()
    rest: bytes | memoryview = b""
    for offset, length in parts:
        os.lseek(descriptor, offset, os.SEEK_SET)
        while length:
            rest = rest or next(pieces)
            write(descriptor, rest[:length])
            length, rest = max(0, length - len(rest)), rest[length:]
    os.ftruncate(descriptor, entry.real_size)


def blob(descriptor: int) -> Iterator[bytes]:
    """Yield the bytes of standard input."""
    while chunk := os.read(descriptor, READ):
        yield chunk


# Errors that the archive's names cause, and no disk does.
INVALID = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EFBIG}


def describe(error: OSError) -> str:
    """Return an error of the system in the words `path: what happened`."""
    path = os.fsdecode(error.filename)[:LONGEST_SHOWN] if isinstance(error.filename, str | bytes) else ""
    return f"{path}: {(error.strerror or str(error)).lower()}" if path else (error.strerror or str(error)).lower()
