"""Paths inside a root that is not ours yet: resolved by the kernel so that no link leads out. Used by `mounts`, `devices`.

openat2(2) with RESOLVE_IN_ROOT takes `..` and absolute links relative to the root; what is missing is made step by step,
each step by descriptor.
"""

from __future__ import annotations

import os

from pydock_runtime import abi, linux

O_PATH = os.O_PATH


def open_path(root: int, path: str, flags: int = O_PATH) -> int:
    """Open a path inside the root; OSError when it is missing."""
    return linux.openat2(root, path, flags, resolve=abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_MAGICLINKS)


def open_directory(root: int, path: str, mode: int = 0o755) -> int:
    """Open a directory inside the root, making those that are missing."""
    try:
        return open_path(root, path, O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path.rstrip("/"))
    above = open_directory(root, parent or "/", mode)
    try:
        if name not in ("", ".", ".."):
            try:
                os.mkdir(name, mode, dir_fd=above)
            except FileExistsError:
                pass
    finally:
        os.close(above)
    return open_path(root, path, O_PATH | os.O_DIRECTORY)


def open_file(root: int, path: str) -> int:
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
        pass
    finally:
        os.close(above)
    return open_path(root, path)


def by_descriptor(fd: int) -> str:
    """Return a path that stands for exactly the file of a descriptor."""
    return f"/proc/self/fd/{fd}"
