"""Waiting for a folder's files to change, on the event loop; used by containers.logs."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pydock_runtime import linux

IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x2, 0x8, 0x80, 0x100
CHANGES = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE
READ_SIZE = 64 << 10


class FolderWatch:
    """Tells that a file in a folder was written, closed, renamed or made; not which. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError: no such folder, too many watches. `on_change` may be set: it is called at once, and waits for
        nothing."""
        self._fd = linux.inotify_init()
        try:
            linux.inotify_add_watch(self._fd, str(folder), CHANGES)
        except OSError:
            os.close(self._fd)
            raise
        self._changed = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None

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

    def wake(self) -> None:
        """Let `wait` return as if something had changed."""
        self._changed.set()

    def _on_readable(self) -> None:
        try:
            os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        self._changed.set()
        self.on_change()
