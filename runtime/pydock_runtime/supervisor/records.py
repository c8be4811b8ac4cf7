"""What is on disk about a container, EXEC_ROOT/containers/<id>/: state.json while it runs, exit.json once it has ended.

Written to a temporary name and renamed, so that a reader sees all or nothing; not synced, since neither outlives a
reboot. They are for whoever comes after a supervisor that was killed: the next supervisor, and through it pydockd.
"""

from __future__ import annotations

import contextlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATE = "state.json"
EXIT = "exit.json"
MODE = 0o600


class Records:
    """The records of all containers below one exec root."""

    __slots__ = ("_root",)

    def __init__(self, exec_root: str) -> None:
        self._root = os.path.join(exec_root, "containers")
        os.makedirs(self._root, mode=0o700, exist_ok=True)

    def write(self, container: str, name: str, record: dict[str, Any]) -> None:
        """Put a record in place of the one of that name. Raises OSError."""
        folder = os.path.join(self._root, container)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        path = os.path.join(folder, name)
        fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        try:
            os.write(fd, json.dumps(record, separators=(",", ":")).encode())
        finally:
            os.close(fd)
        os.rename(path + ".tmp", path)

    def read(self, container: str, name: str) -> dict[str, Any] | None:
        """Return a record, or None where there is none that can be read."""
        try:
            with open(os.path.join(self._root, container, name), "rb") as file:
                record = json.load(file)
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def remove(self, container: str) -> None:
        """Remove all records of a container; nothing happens when there are none. What is not ours stays."""
        folder = os.path.join(self._root, container)
        for names in ((EXIT, STATE), (EXIT + ".tmp", STATE + ".tmp")):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))
            with contextlib.suppress(OSError):
                os.rmdir(folder)
                return

    def containers(self) -> list[str]:
        """Return the ids of all containers with a folder."""
        return sorted(os.listdir(self._root))
