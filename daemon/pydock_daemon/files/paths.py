"""Docker's rules for a path of a container, applied in a view. Used by `child`; nothing here leads out of the root."""

import os
from typing import Any


class NoFolder(ValueError):
    """What is to be unpacked into is no folder."""


class Missing(Exception):
    """There is nothing under a path of the container."""


def absolute(path: str) -> str:
    """Return a clean absolute path that keeps a slash or a `/.` at its end: both ask for what a link leads to."""
    clean = os.path.normpath(f"/{path.lstrip('/')}")
    if path == "." or path.endswith("/."):
        return f"{clean.rstrip('/')}/."
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def base(path: str) -> str:
    """Return the name that a path has in an archive: its last part, `/` for the root."""
    return path.rstrip("/").rpartition("/")[2] or "/"


def about(path: str) -> dict[str, Any]:
    """Return what a path is, with `link` where a symbolic link leads to; Missing when there is nothing."""
    try:
        found = os.lstat(path)
        is_link = not path.endswith("/") and os.path.islink(path)
        link = _behind(path) if is_link else ""
    except FileNotFoundError as error:
        raise Missing from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"lstat {path}") from error  # Docker names the call as Go does
    mode, mtime = found.st_mode, found.st_mtime_ns
    return {"name": base(path), "size": found.st_size, "mode": mode, "mtime": mtime, "link": link}


def _behind(path: str) -> str:
    """Return the end of a chain of links, there or not; OSError when there is none."""
    try:
        return os.path.realpath(path, strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return os.path.realpath(path)


def enter_folder(path: str) -> str:
    """Change to the folder that a path leads to and return its real name; Missing or NoFolder when there is none."""
    try:
        real = os.path.realpath(path, strict=True)
        os.chdir(real)
    except FileNotFoundError as error:
        raise Missing from error
    except NotADirectoryError as error:
        raise NoFolder("extraction point is not a directory") from error
    return real
