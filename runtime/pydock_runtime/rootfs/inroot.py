"""Paths inside a root that is not ours yet: resolved by the kernel so that no link leads out. Used by the package only.

openat2(2) with RESOLVE_IN_ROOT takes `..` and absolute links relative to the root; what is missing is made step by
step, each step by descriptor.
"""

from __future__ import annotations

import errno
import os

from pydock_runtime import abi, linux
from pydock_runtime.errors import RuntimeFailure

IN_ROOT = abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_MAGICLINKS
DIRECTORY = os.O_PATH | os.O_DIRECTORY
MOST_LINKS = 40


def open_path(root: int, path: str, flags: int = os.O_PATH) -> int:
    """Open a path inside the root; OSError when it is missing."""
    return linux.openat2(root, path, flags, resolve=IN_ROOT)


def open_directory(root: int, path: str, *, plain: bool = False, links: int = MOST_LINKS) -> int:
    """Open a directory inside the root, making those that are missing; `plain` refuses a path through a link."""
    resolve = IN_ROOT | abi.RESOLVE_NO_SYMLINKS if plain else IN_ROOT
    try:
        return linux.openat2(root, path, DIRECTORY, resolve=resolve)
    except FileNotFoundError:
        pass
    except OSError as error:
        if plain and error.errno == errno.ELOOP:
            raise RuntimeFailure(f"{path} must be an ordinary directory, not a link") from error
        raise
    parent, name = os.path.split(path.rstrip("/"))
    above = open_directory(root, parent or "/", plain=plain, links=links)
    try:
        if name not in ("", ".", ".."):
            os.mkdir(name, 0o755, dir_fd=above)
    except FileExistsError:
        # A link to what is missing: that is made, inside the root.
        return open_directory(root, _behind(above, parent, name, links), plain=plain, links=links - 1)
    finally:
        os.close(above)
    return linux.openat2(root, path, DIRECTORY, resolve=resolve)


def open_file(root: int, path: str, *, links: int = MOST_LINKS) -> int:
    """Open a file inside the root, made empty when missing."""
    try:
        return open_path(root, path)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path)
    above = open_directory(root, parent or "/")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o755, dir_fd=above))
    except FileExistsError:
        return open_file(root, _behind(above, parent, name, links), links=links - 1)
    finally:
        os.close(above)
    return open_path(root, path)


def _behind(above: int, parent: str, name: str, links: int) -> str:
    """Return the path that a dangling link stands for; OSError ELOOP when there are too many."""
    if not links:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    return os.path.join(parent, os.readlink(name, dir_fd=above))


def by_descriptor(fd: int) -> str:
    """Return a path that stands for exactly the file of a descriptor, while the host's /proc is there."""
    return f"/proc/self/fd/{fd}"
