"""What a remote driver is, and how it wants to be tried again. Used by the drivers and shipper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .records import Record

LONGEST_WAIT = 30.0


@dataclass(frozen=True)
class Retry:
    """Seconds before the first new attempt, each later one waiting twice as long; attempts, None: without end."""

    first: float = 0.1
    attempts: int | None = None
    grows: bool = True

    def wait(self, attempt: int) -> float:
        """Return the seconds before an attempt, the first is 1."""
        return min(self.first * 2 ** min(attempt - 1, 16), LONGEST_WAIT) if self.grows else self.first


class Driver(Protocol):
    """A connection to where the lines of one container go; whoever made it closes it.

    `waits`: a container does not start before the connection is made, as in Docker.
    """

    waits: bool
    retry: Retry

    async def connect(self) -> None:
        """Connect, if it is not so. Raises OSError."""

    async def send(self, records: Sequence[Record]) -> None:
        """Send in order; returns when the other side has all, as far as that can be known. Raises OSError."""

    def close(self) -> None:
        """Close the connection; `connect` makes a new one."""
