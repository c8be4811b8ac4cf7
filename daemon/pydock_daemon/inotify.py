"""Waiting for a folder's files to change, on the event loop; used by containers.logs.

glibc's inotify calls through ctypes: the standard library has none.
"""

import asyncio
import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x2, 0x8, 0x80, 0x100
READ_SIZE = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = [ctypes.c_int]
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]


class FolderWatch:
    """Tells that something below a folder was written, closed, renamed or made; not what. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError: no such folder, too many watches."""
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            mask = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE
            _checked(_libc.inotify_add_watch(self._fd, os.fsencode(folder), mask))
        except OSError:
            os.close(self._fd)
            raise
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    async def wait(self, seconds: float) -> bool:
        """Return True when something changed since the last call, False when `seconds` passed without it."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    def _on_readable(self) -> None:
        try:
            os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        self._changed.set()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
