"""One log file of one driver, read forwards in blocks and searched backwards for a tail; used by logs.

`local` is the supervisor's own form, see pydock_runtime.supervisor.logs; `json-file` is Docker's. A file may be
written while it is read: an entry that is not complete yet is the end of the file so far.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from pydock_runtime.supervisor.protocol import LOG_HEADER, LOG_STREAMS, LOG_TRAILER
from pydock_shared.errors import PydockError
from pydock_shared.times import parse_rfc3339

BLOCK = 1 << 20
FIXED = LOG_HEADER.size + LOG_TRAILER.size


class Batch(NamedTuple):
    """Lines of one stream ("stdout" or "stderr") and one time (nanoseconds since the epoch), newlines included.

    The last line has no newline when the process never ended it, or when it is a piece of a very long line.
    """

    stream: str
    time: int
    data: bytes

    def line_count(self) -> int:
        """Return how many lines there are, an unfinished one included."""
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    def lines(self) -> list[bytes]:
        """Return the lines, newlines included."""
        *ended, last = self.data.split(b"\n")
        lines = [line + b"\n" for line in ended]
        if last:
            lines.append(last)
        return lines


class Filter(NamedTuple):
    """Which batches are asked for."""

    streams: frozenset[str]
    since: int
    until: int | None

    def takes(self, batch: Batch) -> bool:
        """Say whether a batch is one of them."""
        return batch.stream in self.streams and self.since <= batch.time and not self.over(batch)

    def over(self, batch: Batch) -> bool:
        """Say whether nothing from this batch on can be asked for."""
        return self.until is not None and batch.time > self.until


class LogFile(Protocol):
    """An open log file; whoever opened it closes it."""

    inode: int

    def read(self) -> list[Batch] | None:
        """Return the next batches, None at the end of what is written so far."""

    def seek(self, lines: int | None, wanted: Filter) -> int:
        """Go to where the last `lines` wanted lines, or those of the filter's time, begin; return their number.

        The number can be larger than asked for, since batches are not taken apart.
        """

    def close(self) -> None:
        """Close the file."""


class _File:
    """What both forms share: descriptor, position, and the end that is read up to."""

    def __init__(self, path: Path, *, bounded: bool) -> None:
        """With `bounded`, what is written after this moment is not read. Raises OSError."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        facts = os.fstat(self._fd)
        self.inode = facts.st_ino
        self._path = path
        self._size = facts.st_size
        self._end = facts.st_size if bounded else None
        self._at = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _block(self) -> bytes:
        size = BLOCK if self._end is None else min(BLOCK, self._end - self._at)
        return os.pread(self._fd, size, self._at)

    def _search(self, lines: int | None, wanted: Filter, before: Callable[[int], tuple[Batch, int] | None]) -> int:
        # `before(end)` gives the entry that ends there, and where it begins.
        found, end = 0, self._size
        while end > 0 and (lines is None or found < lines):
            entry = before(end)
            if entry is None:
                break
            batch, start = entry
            if batch.time < wanted.since:
                break
            if wanted.takes(batch):
                found += batch.line_count()
            end = start
        self._at = end
        return found


class LocalFile(_File):
    """A file of the driver `local`."""

    _window: tuple[int, bytes] = (0, b"")

    def read(self) -> list[Batch] | None:
        """Return the batches of the next block."""
        block = self._block()
        batches = []
        at, end = 0, len(block)
        while end - at >= FIXED:
            size, stream, _flags, time = LOG_HEADER.unpack_from(block, at)
            if size > BLOCK - FIXED or stream not in LOG_STREAMS:
                raise PydockError(f"log file {self._path} is damaged at {self._at + at}")
            if end - at < FIXED + size:
                break
            start = at + LOG_HEADER.size
            batches.append(Batch(LOG_STREAMS[stream], time, block[start : start + size]))
            at += FIXED + size
        self._at += at
        return batches or None

    def seek(self, lines: int | None, wanted: Filter) -> int:
        """Walk backwards by the lengths at the ends of frames."""
        if self._size and self._before(self._size) is None:
            while self.read() is not None:  # the last frame is being written: where does it begin?
                pass
            self._size = self._at
        found = self._search(lines, wanted, self._before)
        self._window = (0, b"")
        return found

    def _before(self, end: int) -> tuple[Batch, int] | None:
        if end < FIXED:
            return None
        (size,) = LOG_TRAILER.unpack(self._slice(end - LOG_TRAILER.size, end))
        start = end - FIXED - size
        if start < 0:
            return None
        frame = self._slice(start, end)
        length, stream, _flags, time = LOG_HEADER.unpack_from(frame)
        if length != size or stream not in LOG_STREAMS:
            return None
        return Batch(LOG_STREAMS[stream], time, frame[LOG_HEADER.size : LOG_HEADER.size + size]), start

    def _slice(self, start: int, end: int) -> bytes:
        base, window = self._window
        if not base <= start <= end <= base + len(window):
            base = max(0, min(start, end - BLOCK))
            window = os.pread(self._fd, end - base, base)
            self._window = (base, window)
        return window[start - base : end - base]


class JsonFile(_File):
    """A file of the driver `json-file`."""

    _window: tuple[int, bytes] = (0, b"")
    _last_time: tuple[bytes, int] = (b"", 0)

    def read(self) -> list[Batch] | None:
        """Return the batches of the next block: lines of the same time and stream are one batch."""
        block = self._block()
        cut = block.rfind(b"\n") + 1
        if not cut and len(block) == BLOCK:
            raise PydockError(f"log file {self._path} is damaged at {self._at}")
        self._at += cut
        batches: list[Batch] = []
        pieces: list[bytes] = []
        key: tuple[str, int] | None = None
        for line in block[:cut].split(b"\n")[:-1]:
            stream, time, data = self._entry(line)
            if (stream, time) != key:
                if key is not None:
                    batches.append(Batch(*key, b"".join(pieces)))
                key, pieces = (stream, time), []
            pieces.append(data)
        if key is not None:
            batches.append(Batch(*key, b"".join(pieces)))
        return batches or None

    def seek(self, lines: int | None, wanted: Filter) -> int:
        """Walk backwards line by line."""
        self._size = self._sound_end()
        found = self._search(lines, wanted, self._before)
        self._window = (0, b"")
        return found

    def _sound_end(self) -> int:
        # A line that is being written has no newline yet.
        base = max(0, self._size - BLOCK)
        return base + os.pread(self._fd, self._size - base, base).rfind(b"\n") + 1

    def _before(self, end: int) -> tuple[Batch, int] | None:
        base, window = self._window
        newline = window.rfind(b"\n", 0, end - base - 1) if end - base - 1 > 0 else -1
        if newline < 0 and (base or not window):
            base = max(0, end - BLOCK)
            window = os.pread(self._fd, end - base, base)
            self._window = (base, window)
            newline = window.rfind(b"\n", 0, end - base - 1)
            if newline < 0 and base:
                return None
        return Batch(*self._entry(window[newline + 1 : end - base - 1])), base + newline + 1

    def _entry(self, line: bytes) -> tuple[str, int, bytes]:
        # The plain case, as our own writer makes it, without a JSON parser.
        text, found, rest = line[8:].rpartition(b'","stream":"')
        stream, _, time = rest.partition(b'","time":"')
        if found and line.startswith(b'{"log":"') and time.endswith(b'"}'):
            body = text.removesuffix(b"\\n")
            if b"\\" not in body:
                return stream.decode(), self._time(time[:-2]), body + b"\n" if len(body) < len(text) else body
        try:
            entry = json.loads(line)
            data = entry["log"].encode("utf-8", "replace")
            return entry["stream"], self._time(entry["time"].encode()), data
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PydockError(f"log file {self._path} is damaged: {error}") from error

    def _time(self, text: bytes) -> int:
        if text != self._last_time[0]:
            self._last_time = (text, parse_rfc3339(text.decode()))
        return self._last_time[1]


Opener = Callable[..., LogFile]
OPENERS: dict[str, Opener] = {"local": LocalFile, "json-file": JsonFile}
