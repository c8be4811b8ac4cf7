"""What a driver sends: single lines, with the pieces of long ones marked as Docker marks them. Used by shipper
and the drivers.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydock_daemon.containers.logfiles import Batch
from pydock_runtime.supervisor.logformat import ENDED, LINE_LIMIT, PARTIAL


class Piece(NamedTuple):
    """Which piece of a long line a record is: all of one line have an id and, as in Docker, the time of the first."""

    id: str
    ordinal: int
    last: bool


class Record(NamedTuple):
    """A line of `stdout` or `stderr` without its newline, or a piece of one; the time is in nanoseconds."""

    source: str
    time: int
    line: bytes
    piece: Piece | None = None


class Splitter:
    """Makes records of the batches of one log, in their order."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, int, int]] = {}  # of each stream the long line: id, time, pieces so far

    def records(self, batches: Iterable[Batch]) -> Iterator[Record]:
        """Yield the lines of batches. A piece that ends no line is yielded at once: nothing is kept back."""
        for batch in batches:
            if batch.flags & PARTIAL:
                yield from self._pieces(batch, batch.data, whole=False)
                if batch.flags & ENDED:
                    self._open.pop(batch.stream, None)
                continue
            for line in batch.data.removesuffix(b"\n").split(b"\n"):
                if len(line) <= LINE_LIMIT and batch.stream not in self._open:
                    yield Record(batch.stream, batch.time, line)
                else:
                    yield from self._pieces(batch, line, whole=True)

    def _pieces(self, batch: Batch, data: bytes, *, whole: bool) -> Iterator[Record]:
        id_, time, count = self._open.get(batch.stream) or (secrets.token_hex(32), batch.time, 0)
        for at in range(0, len(data) or 1, LINE_LIMIT):
            count += 1
            last = whole and at + LINE_LIMIT >= len(data)
            yield Record(batch.stream, time, data[at : at + LINE_LIMIT], Piece(id_, count, last))
        self._open[batch.stream] = (id_, time, count)
        if whole:
            del self._open[batch.stream]
