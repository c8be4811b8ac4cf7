"""Copies of clients' contexts that stay, so that only what has changed is sent again: a part of the build cache.

A copy is a folder of the data root, whose content is the affair of `buildkit.contexts`. Used by it and by `prune`.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

MOST = 16
"""Copies that stay: those used last."""


class Kept:
    """The copies of one engine, each by a name of hexadecimal digits."""

    def __init__(self, root: Path) -> None:
        """`root` is the folder of all of them; it need not be there."""
        self._root = root
        self._users: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def used(self, name: str, *, stays: bool) -> AsyncIterator[Path]:
        """Give the folder of a copy, which is there until the end of the block; afterwards too, if it `stays`."""
        self._users[name] = self._users.get(name, 0) + 1
        folder = self._root / name
        try:
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
            yield folder
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
                self._locks.pop(name, None)
                if not stays:
                    await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            await asyncio.shield(asyncio.to_thread(self._limit))

    def alone(self, name: str) -> bool:
        """Say whether nobody else uses a copy, so that its files may be changed and not only added to."""
        return self._users.get(name, 0) <= 1

    def lock(self, name: str) -> asyncio.Lock:
        """Return the lock of those who add to a copy that they use."""
        return self._locks.setdefault(name, asyncio.Lock())

    def entries(self) -> list[dict[str, Any]]:
        """Return the copies as Docker's BuildCache records, the youngest first; `Context` is the name."""
        found = []
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            with suppress(OSError):
                about = folder.stat()
                size = sum(file.stat().st_size for file in folder.iterdir())
                found.append({
                    "ID": folder.name[:24], "Type": "source.local", "Description": "local source for context",
                    "InUse": folder.name in self._users, "Shared": False, "Size": size, "CreatedAt": about.st_ctime_ns,
                    "LastUsedAt": about.st_mtime_ns, "UsageCount": 1, "Context": folder.name,
                })  # fmt: skip
        return sorted(found, key=lambda entry: -int(entry["LastUsedAt"]))

    def touch(self, name: str) -> None:
        """Note that a copy is used now."""
        os.utime(self._root / name)

    def remove(self, name: str) -> bool:
        """Remove a copy, unless it is in use; say whether it is gone."""
        if name in self._users:
            return False
        shutil.rmtree(self._root / name, ignore_errors=True)
        return True

    def _limit(self) -> None:
        for entry in self.entries()[MOST:]:
            self.remove(entry["Context"])
