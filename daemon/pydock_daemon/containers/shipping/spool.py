"""The files of a log that is sent on, read as one from the place where the cursor is. Used by shipper."""

from pathlib import Path
from typing import cast

from pydock_daemon.containers.logfiles import LocalFile
from pydock_daemon.containers.logs import Chain


class Spool(Chain):
    """A log of the form `local`, followed; owns its files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, LocalFile, follow=True)

    def start_at(self, begin: int, at: int) -> bool:
        """Open what there is and go to `at` in the file that begins so; to the oldest one, and False, without it."""
        files = self._existing()
        found = False
        for file in files:
            if found:
                file.close()
                continue
            self._files.appendleft(file)
            local = cast("LocalFile", file)
            found = bool(begin) and local.begin == begin
            if found:
                local.go_to(at)
        return found or not begin

    def place(self) -> tuple[int, int]:
        """Return the file that was read last, by its beginning, and how much of it."""
        file = cast("LocalFile", self._files[0])
        return file.begin, file.at
