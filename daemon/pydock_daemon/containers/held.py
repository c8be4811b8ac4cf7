"""Duplicates of what outlives a supervisor that is killed: ends of streams, and processes. Used by `supervisor`.

Nothing reads or writes them here. A container whose supervisor is gone goes on: what it prints waits in the pipe until
the next supervisor has been given the ends.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

TOLD = ("container", "exec", "process", "streams", "clients")
Key = tuple[str, str | None]
"""A container, and the exec of it that is meant; None: its init."""


class Held:
    """What a supervisor has given of the processes of all containers."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[dict[str, Any], list[int]]] = {}

    def __iter__(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Give what was told of each process, and its descriptors, which stay ours."""
        return iter(self._held.values())

    def take(self, event: dict[str, Any], fds: Sequence[int]) -> None:
        """Own descriptors, in place of what was held of that process."""
        key = (event["container"], event.get("exec"))
        self.drop(key)
        self._held[key] = {name: event.get(name) for name in TOLD}, list(fds)

    def drop(self, key: Key) -> None:
        """Close what is held of a process, which has ended."""
        _, fds = self._held.pop(key, ({}, []))
        for fd in fds:
            os.close(fd)

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Drop all others."""
        for key in self._held.keys() - set(keys):
            self.drop(key)

    def close(self) -> None:
        """Drop all."""
        self.keep_only(())
