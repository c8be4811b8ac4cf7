"""Where a checkpoint is, and where criu works and writes its log. Used by the verbs, `dump` and `restore`."""

from __future__ import annotations

import contextlib
import os
import stat

from pydock_runtime.checkpoint.rpc import Refused
from pydock_runtime.errors import INVALID, RuntimeFailure, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LEVEL = 4
"""How much criu writes to its log: all of it, as for runc, since its errors are told without their reasons."""
QUOTED = 3
"""So many lines of the log about errors go into ours."""
CONFIGURATION = "/etc/criu/runc.conf"
ANNOTATION = "org.criu.config"
"""An annotation of a container that names a file of criu's settings instead; empty for none. Both as in runc."""


class Folders:
    """The folder of a checkpoint, and that of its log; open until `close`, since criu finds them by descriptor."""

    def __init__(self, images: str, work: str, annotations: dict[str, str], *, criu: str = "") -> None:
        """Make those that are missing. `work` empty: the same folder. `criu`: the program, if not the one in PATH."""
        self.criu = criu
        self._work = work or images
        self._configuration = annotations.get(ANNOTATION, CONFIGURATION)
        with contextlib.ExitStack() as undo:
            self._images_fd = _open(images)
            undo.callback(os.close, self._images_fd)
            self._work_fd = _open(self._work)
            undo.pop_all()

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._images_fd)
        os.close(self._work_fd)

    def options(self, log: str) -> dict[str, Any]:
        """Return criu's options about them."""
        given = {"images_dir_fd": self._images_fd, "work_dir_fd": self._work_fd, "log_level": LEVEL, "log_file": log}
        return {**given, "config_file": self._configuration} if self._configuration else given

    def let_search(self) -> None:
        """Let others look for files by name, which they still may not read.

        In a user namespace criu goes on as the container's root, and has to hear of a file that it is not there.
        """
        os.fchmod(self._images_fd, stat.S_IMODE(os.fstat(self._images_fd).st_mode) | 0o011)

    def write(self, name: str, content: str) -> None:
        """Write a file beside criu's."""
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._images_fd)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(content)

    def read(self, name: str) -> str:
        """Return a file beside criu's; RuntimeFailure when there is none."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._images_fd)
        except OSError as error:
            raise RuntimeFailure(f"not a checkpoint: {text(error)}", INVALID) from error
        with open(fd, encoding="utf-8") as file:
            return file.read()

    @contextlib.contextmanager
    def explained(self, log: str) -> Iterator[None]:
        """Add to an error of criu the last lines of its log about errors, and where the rest is."""
        path = os.path.join(self._work, log)
        try:
            yield
        except Refused as error:
            lines = "".join(f"\n{line}" for line in _errors(path))
            raise Refused(f"{error.message}{lines}\nlog file: {path}") from error


def _open(path: str) -> int:
    os.makedirs(path, 0o700, exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _errors(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = [line.rstrip() for line in file if "Error" in line]
    except OSError:
        return []
    return found[-QUOTED:]
