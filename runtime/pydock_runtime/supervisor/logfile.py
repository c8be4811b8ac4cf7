"""One log on disk: the file that is appended to, its older files (`.1`, `.2`, ...) and their compression; used by logs.

A file that has reached its size is renamed `<file>.1`, `.1` becomes `.2` and so on, as Docker names them; with
compression they end in `.gz`. A log that is sent on to another host has a cursor: what pydockd has sent so far. With
`held`, no file goes that the cursor has not passed: the log is `full` until it has, and its container waits, as
one of Docker's in the mode `blocking` does.

A full disk must not stop a container: what cannot be written is lost, and said once in supervisor.log.
"""

from __future__ import annotations

import contextlib
import os
import struct

from pydock_runtime.supervisor import compress, logformat
from pydock_runtime.supervisor.diary import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydock_runtime.supervisor.poller import Poller

    Piece = bytes | bytearray | memoryview

MODE = 0o640
SUFFIXES = ("", logformat.GZ_SUFFIX)


class LogFile:
    """A file that is appended to and renamed away when it has reached `max_size` bytes (0: never).

    `compressor` is the loop that children are watched by, None: older files stay as they are. `cursor` is the path of
    the file in which pydockd keeps what it has sent, None: nobody waits.
    """

    __slots__ = (
        "_complained",
        "_compressing",
        "_compressor",
        "_cursor",
        "_fd",
        "_max_files",
        "_max_size",
        "full",
        "path",
        "size",
    )

    def __init__(
        self, path: str, max_size: int, max_files: int, *, compressor: Poller | None = None, cursor: str | None = None
    ) -> None:
        self.path = path
        self._max_size = max_size
        self._max_files = max_files
        self._compressor = compressor
        self._compressing = False
        self._cursor = cursor
        self._complained = False
        self._fd = -1
        self.size = 0
        self.full = False
        self._open()
        if compressor is not None:
            compress.forget(path)
            self._compress()

    @property
    def fd(self) -> int:
        """The file being written, for reading it too."""
        return self._fd

    def append(self, pieces: Sequence[Piece]) -> None:
        """Write all pieces or none of them."""
        if 0 < self._max_size <= self.size:
            self.rotate()
        total = sum(map(len, pieces))
        try:
            written = os.writev(self._fd, pieces)
            if written < total:
                written += os.write(self._fd, b"".join(pieces)[written:])
            if written < total:
                raise OSError(0, "no space for all of it", self.path)
        except OSError as error:
            self._complain(error)
        else:
            self.size += total

    def truncate(self, size: int) -> None:
        """Cut what a writer that was killed left unfinished."""
        os.ftruncate(self._fd, size)
        self.size = size

    def close(self) -> None:
        """Close the file. A compression under way goes on, and has its end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def rotate(self) -> None:
        """Make the file an older one and begin the next; `full` says that it could not be done yet."""
        last = self._max_files - 1
        self.full = self._cursor is not None and not self._passed(last)
        if self.full:
            return
        try:
            for suffix in SUFFIXES:
                _unlink(f"{self.path}.{last}{suffix}" if last else self.path + suffix)
            for number in range(last, 0, -1):
                for suffix in SUFFIXES[: 2 if number > 1 else 1]:
                    newer = f"{self.path}.{number - 1}{suffix}" if number > 1 else self.path
                    if number == 1 or os.path.exists(newer):
                        os.rename(newer, f"{self.path}.{number}{suffix}")
            old = self._fd
            self._open()
            os.close(old)
        except OSError as error:
            self._complain(error)
        if self._compressor is not None:
            self._compress()

    def _passed(self, last: int) -> bool:
        """Say whether the file that a rotation would drop has been sent: the cursor is in a younger one."""
        names = [f"{self.path}.{number}" if number else self.path for number in range(last + 1)]
        if not any(os.path.exists(names[-1] + suffix) for suffix in SUFFIXES):
            return True
        try:
            with open(self._cursor or "", "rb") as file:
                begin, offset = logformat.CURSOR.unpack(file.read())
        except (OSError, struct.error):
            return False
        if not last:
            return int(offset) >= self.size and logformat.begin_of(self.path) == begin
        return any(logformat.begin_of(name) == begin for name in names[:-1])

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self.size = os.fstat(self._fd).st_size

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            note(f"output lost: {self.path}: {error}")
        if self._fd >= 0:
            os.ftruncate(self._fd, self.size)

    def _compress(self) -> None:
        """Begin with the youngest file that is not compressed yet; one child of a log at a time."""
        for number in range(1, self._max_files):
            path = f"{self.path}.{number}"
            if not self._compressing and self._compressor is not None and os.path.exists(path):
                try:
                    compress.begin(self._compressor, path, self._compressed)
                    self._compressing = True
                except OSError as error:
                    note(f"not compressed: {path}: {error}")

    def _compressed(self, inode: int, result: str, *, whole: bool) -> None:
        """A child has ended: what it made takes the place of the file, whose number may be another by now."""
        self._compressing = False
        for number in range(1, self._max_files if whole else 0):
            path = f"{self.path}.{number}"
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == inode:
                    os.rename(result, path + logformat.GZ_SUFFIX)
                    os.unlink(path)
        _unlink(result)
        if whole:
            self._compress()  # the next one; a failure is tried again after the next rotation


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
