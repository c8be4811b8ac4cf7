"""What an image has at the place of an empty volume, copied into it at its first use. Used by containers."""

import os
import shutil
import stat
from pathlib import Path

from pydock_runtime import abi, linux


def needed(place: Path) -> bool:
    """Say whether a volume, or the part of it that is used, is an empty folder."""
    if not place.is_dir():
        return False
    with os.scandir(place) as entries:
        return next(entries, None) is None


def fill(place: Path, root: Path, target: str) -> None:
    """Fill an empty folder with what the image has at `target` below `root`: owner, mode, times, links, xattrs.

    Runs in a thread. The path is resolved below the root, whatever links the image has.
    """
    source = open_below(root, target)
    if source is None:
        return
    try:
        copy_tree(f"/proc/self/fd/{source}", place)
    finally:
        os.close(source)


def open_below(root: Path, target: str) -> int | None:
    """Return a descriptor of a directory below a root, None when there is none; no link leads out of it."""
    above = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        return linux.openat2(above, target, flags, resolve=abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_MAGICLINKS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    finally:
        os.close(above)


def copy_tree(source: str, target: Path) -> None:
    """Copy what is in a directory into another, with everything a file system keeps of a file."""
    with os.scandir(source) as entries:
        for entry in entries:
            _copy(entry, target / entry.name)
    _copy_metadata(source, target, os.stat(source))


def _copy(entry: os.DirEntry[str], target: Path) -> None:
    info = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(info.st_mode):
        target.symlink_to(os.readlink(entry.path))
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
        return
    if stat.S_ISDIR(info.st_mode):
        target.mkdir()
        copy_tree(entry.path, target)
        return
    if stat.S_ISREG(info.st_mode):
        shutil.copyfile(entry.path, target)
    else:
        os.mknod(target, info.st_mode, info.st_rdev)
    _copy_metadata(entry.path, target, info)


def _copy_metadata(source: str, target: Path, info: os.stat_result) -> None:
    os.chown(target, info.st_uid, info.st_gid)
    target.chmod(stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
