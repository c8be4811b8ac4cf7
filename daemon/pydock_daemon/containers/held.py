"""Duplicates of the ends of containers' streams, which outlive a supervisor that is killed. Used by `supervisor`.

Nothing reads or writes them here. A container whose supervisor is gone goes on: what it prints waits in the pipe until
the next supervisor has been given the ends.
"""

import os
from collections.abc import Iterable, Iterator, Sequence


class Held:
    """The ends of all containers that a supervisor has given: of each its streams and their descriptors."""

    def __init__(self) -> None:
        self._ends: dict[str, dict[int, int]] = {}

    def __iter__(self) -> Iterator[tuple[str, list[int], list[int]]]:
        """Give containers with their streams and descriptors, which stay ours."""
        for container, ends in self._ends.items():
            yield container, list(ends), list(ends.values())

    def take(self, container: str, streams: Sequence[int], fds: Sequence[int]) -> None:
        """Own descriptors, in place of what was held of that container."""
        self.drop(container)
        self._ends[container] = dict(zip(streams, fds, strict=True))

    def drop(self, container: str) -> None:
        """Close what is held of a container, which has ended."""
        for end in self._ends.pop(container, {}).values():
            os.close(end)

    def keep_only(self, containers: Iterable[str]) -> None:
        """Drop all others."""
        for container in self._ends.keys() - set(containers):
            self.drop(container)

    def close(self) -> None:
        """Drop all."""
        self.keep_only(())
