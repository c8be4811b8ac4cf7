"""Waiting for folders' files to change, on the event loop; used by containers.logs and containers.shipping.

The kernel gives a user 128 inotify descriptors in all (fs.inotify.max_user_instances), and watches by the ten thousand:
so all watches of this process are of one descriptor, opened by the first and closed by the last.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydock_runtime import linux

IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x2, 0x8, 0x80, 0x100
CHANGES = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE
READ_SIZE = 64 << 10
EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, length of the name that follows; inotify(7)."""
LOST = -1
"""The watch of the event that says that there were too many."""


class FolderWatch:
    """Tells that a file in a folder was written, closed, renamed or made; not which. A context manager."""

    def __init__(self, folder: Path) -> None:
        """`on_change` may be set: it is called at once, and waits for nothing."""
        self._folder = folder
        self._changed = asyncio.Event()
        self.on_change: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        """Raises OSError: no such folder, too many watches."""
        self._watch = _shared.add(self, self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _shared.remove(self, self._watch)

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

    def changed(self) -> None:
        """Say that something did."""
        self._changed.set()
        self.on_change()


class _Shared:
    """The descriptor of all, while there are any, and who watches what."""

    def __init__(self) -> None:
        self._fd = -1
        self._watchers: dict[int, set[FolderWatch]] = {}

    def add(self, watcher: FolderWatch, folder: Path) -> int:
        """Return the watch: that of the folder, whoever watches it."""
        if self._fd < 0:
            self._fd = linux.inotify_init()
            asyncio.get_running_loop().add_reader(self._fd, self._on_readable)
        try:
            watch = linux.inotify_add_watch(self._fd, str(folder), CHANGES)
        except OSError:
            self._close_unused()
            raise
        self._watchers.setdefault(watch, set()).add(watcher)
        return watch

    def remove(self, watcher: FolderWatch, watch: int) -> None:
        self._watchers[watch].discard(watcher)
        if not self._watchers[watch]:
            del self._watchers[watch]
            with suppress(OSError):  # it has gone with its folder
                linux.inotify_rm_watch(self._fd, watch)
        self._close_unused()

    def _close_unused(self) -> None:
        if not self._watchers and self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        told, at = set[int](), 0
        while at < len(data):
            watch, _, _, length = EVENT.unpack_from(data, at)
            told.add(watch)
            at += EVENT.size + length
        for watch in list(self._watchers) if LOST in told else told:
            for watcher in list(self._watchers.get(watch, ())):
                watcher.changed()


_shared = _Shared()
