"""Finding the program in the container, and saying why it cannot run, in the words that Docker's clients know.

Used by `credentials`, inside. The rules are those of Go's exec.LookPath, which runc follows: a name without a slash
that cannot be executed anywhere in PATH is "not found", whatever the reason.
"""

from __future__ import annotations

import errno
import os
import stat

from pydock_runtime import steps
from pydock_runtime.errors import EXEC_DENIED, EXEC_NOT_FOUND, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_runtime.steps import Check

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MISSING = (errno.ENOENT, errno.ENOTDIR)


class Search:
    """Where a program may be, made ready by whoever has the time. A name with a slash is one place."""

    __slots__ = ("_name", "_places")

    def __init__(self, name: bytes, env: list[bytes]) -> None:
        self._name = name
        path = next((entry[5:] for entry in env if entry.startswith(b"PATH=")), DEFAULT_PATH)
        places = [] if b"/" in name else [(folder or b".") + b"/" + name for folder in path.split(b":")]
        self._places = [
            (
                place,
                steps.call("eaccess", place, os.X_OK),
                steps.call("open", place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            )
            for place in places
        ]

    def checks(self, path: bytes) -> list[Check]:
        """Return the questions whether this still is the first that is found; RuntimeFailure: it cannot have been."""
        found: list[Check] = []
        for place, (_, executable, arguments, _), (_, folder, as_folder, _) in self._places:
            found.append((executable, arguments, 0 if place == path else -1))
            if place == path:
                return [*found, (folder, as_folder, -1)]
        if self._places or path != self._name:
            raise RuntimeFailure(f"{os.fsdecode(path)} is not a place of this program")
        return found

    def find(self) -> bytes:
        """Return the path of a command; RuntimeFailure of kind exec-not-found or exec-denied."""
        for place, executable, folder in self._places:
            if steps.succeeds(executable) and not steps.succeeds(folder):
                return place
        if self._places:
            shown = os.fsdecode(self._name)
            raise RuntimeFailure(f'exec: "{shown}": executable file not found in $PATH', EXEC_NOT_FOUND)
        return _named(self._name)


def _named(name: bytes) -> bytes:
    shown = os.fsdecode(name)
    try:
        _check(name)
    except IsADirectoryError as error:
        raise RuntimeFailure(f'exec: "{shown}": is a directory', EXEC_DENIED) from error
    except PermissionError as error:
        raise RuntimeFailure(f'exec: "{shown}": permission denied', EXEC_DENIED) from error
    except OSError as error:
        raise RuntimeFailure(f'exec: "{shown}": stat {shown}: {reason(error)}', EXEC_NOT_FOUND) from error
    return name


def _check(path: bytes) -> None:
    if stat.S_ISDIR(os.stat(path).st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory", path)
    if not os.access(path, os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, "permission denied", path)


def failure(path: bytes, error: OSError) -> RuntimeFailure:
    """Return what to say when the kernel refuses a program that is there: a missing interpreter, a foreign format."""
    kind = EXEC_NOT_FOUND if error.errno in MISSING else EXEC_DENIED
    return RuntimeFailure(f"exec {os.fsdecode(path)}: {reason(error)}", kind)
