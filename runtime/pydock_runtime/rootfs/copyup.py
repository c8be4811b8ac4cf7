"""`tmpcopyup`: a new tmpfs begins with what lay below it. Used by `mounts`, before the root is entered.

By descriptor, and never through a link: the files are the image's.
"""

from __future__ import annotations

import os
import stat

CHUNK = 1 << 24


def copy(source: int, target: int) -> None:
    """Copy what is in one directory into another, with owners, modes, times and extended attributes. Raises OSError."""
    with os.scandir(source) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        info = os.stat(name, dir_fd=source, follow_symlinks=False)
        _make(source, target, name, info)
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    _attributes(source, target)
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _make(source: int, target: int, name: str, info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner, outer = os.open(name, flags, dir_fd=source), os.open(name, flags, dir_fd=target)
        try:
            copy(inner, outer)
        finally:
            os.close(inner)
            os.close(outer)
    elif stat.S_ISREG(info.st_mode):
        _file(source, target, name, info)
    elif stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        _settle(target, name, info)
    else:
        os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
        os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=target)
        _settle(target, name, info)


def _file(source: int, target: int, name: str, info: os.stat_result) -> None:
    inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    outer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while os.sendfile(outer, inner, None, CHUNK):
            pass
        os.fchown(outer, info.st_uid, info.st_gid)
        os.fchmod(outer, stat.S_IMODE(info.st_mode))
        _attributes(inner, outer)
        os.utime(outer, ns=(info.st_atime_ns, info.st_mtime_ns))
    finally:
        os.close(inner)
        os.close(outer)


def _settle(target: int, name: str, info: os.stat_result) -> None:
    os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
    os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _attributes(source: int, target: int) -> None:
    """Copy extended attributes, but for those that a tmpfs does not have."""
    for name in os.listxattr(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError:
            continue
