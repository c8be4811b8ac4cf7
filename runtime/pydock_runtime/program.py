"""Finding the program in the container, and saying why it cannot run, in the words that Docker's clients know.

Used by `credentials`, inside. The rules are those of Go's exec.LookPath, which runc follows: a name without a slash
that cannot be executed anywhere in PATH is "not found", whatever the reason.
"""

from __future__ import annotations

import errno
import os
import stat

from pydock_runtime.errors import EXEC_DENIED, EXEC_NOT_FOUND, RuntimeFailure, reason

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MISSING = (errno.ENOENT, errno.ENOTDIR)


def find(name: bytes, env: list[bytes]) -> bytes:
    """Return the path of a command; RuntimeFailure of kind exec-not-found or exec-denied."""
    shown = os.fsdecode(name)
    if b"/" in name:
        try:
            _check(name)
        except IsADirectoryError as error:
            raise RuntimeFailure(f'exec: "{shown}": is a directory', EXEC_DENIED) from error
        except PermissionError as error:
            raise RuntimeFailure(f'exec: "{shown}": permission denied', EXEC_DENIED) from error
        except OSError as error:
            raise RuntimeFailure(f'exec: "{shown}": stat {shown}: {reason(error)}', EXEC_NOT_FOUND) from error
        return name
    path = next((entry[5:] for entry in env if entry.startswith(b"PATH=")), DEFAULT_PATH)
    for folder in path.split(b":"):
        candidate = (folder or b".") + b"/" + name
        if os.access(candidate, os.X_OK, effective_ids=True) and not os.path.isdir(candidate):
            return candidate
    raise RuntimeFailure(f'exec: "{shown}": executable file not found in $PATH', EXEC_NOT_FOUND)


def _check(path: bytes) -> None:
    if stat.S_ISDIR(os.stat(path).st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory", path)
    if not os.access(path, os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, "permission denied", path)


def failure(path: bytes, error: OSError) -> RuntimeFailure:
    """Return what to say when the kernel refuses a program that is there: a missing interpreter, a foreign format."""
    kind = EXEC_NOT_FOUND if error.errno in MISSING else EXEC_DENIED
    return RuntimeFailure(f"exec {os.fsdecode(path)}: {reason(error)}", kind)
