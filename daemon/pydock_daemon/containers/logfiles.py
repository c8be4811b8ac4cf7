"""One log file of one driver, read forwards in blocks and searched backwards for a tail; used by logs and shipping.

`local` is the supervisor's own form, see pydock_runtime.supervisor.logs; `json-file` is Docker's. A file may be
written while it is read: an entry that is not complete yet is the end of the file so far.
"""

import json
import os
import tempfile
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import NamedTuple, Protocol

from isal import isal_zlib

from pydock_runtime.supervisor import logformat
from pydock_runtime.supervisor.logformat import HEADER, STREAMS, TRAILER
from pydock_shared.errors import PydockError
from pydock_shared.times import parse_rfc3339

READ = 256 << 10  # bytes that are taken apart in one go: others have their turn in between
BLOCK = 1 << 20  # bytes that an entry has at most
FIXED = HEADER.size + TRAILER.size
HEAD, STREAM, TIME = b'{"log":"', b'","stream":"', b',"time":"'


class Batch(NamedTuple):
    """Lines of one stream ("stdout" or "stderr") and one time (nanoseconds since the epoch), newlines included.

    The last line has no newline when the process never ended it, or when it is a piece of a very long line. `flags` are
    those of a frame of `local`; `attributes` is the JSON object that `json-file` keeps with each line.
    """

    stream: str
    time: int
    data: bytes
    flags: int = 0
    attributes: str = ""

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

    @property
    def begin(self) -> int:
        """By what the file is known, see logformat.begin_of."""

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
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.inode = os.fstat(self._fd).st_ino  # of a compressed one: that of the plain one it was
        except FileNotFoundError:
            self._fd, self.inode = _unpacked(path.with_name(path.name + logformat.GZ_SUFFIX))
        self._path = path
        self._size = os.fstat(self._fd).st_size
        self._end = self._size if bounded else None
        self._at = 0

    @property
    def begin(self) -> int:
        """By what the file is known, see logformat.begin_of."""
        return logformat.begin_in(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _block(self, most: int = READ) -> bytes:
        size = most if self._end is None else min(most, self._end - self._at)
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


def _unpacked(path: Path) -> tuple[int, int]:
    """Return a descriptor of the plain contents of a compressed file, and the inode that it had. Raises OSError."""
    unpacker = isal_zlib.decompressobj(wbits=31)
    with open(path, "rb") as packed, tempfile.TemporaryFile(dir=path.parent) as plain:
        inode, _begin = logformat.gz_origin(str(path))
        try:
            while data := packed.read(BLOCK):
                plain.write(unpacker.decompress(data))
        except OSError as error:  # isal's own errors are of this kind, too
            raise PydockError(f"log file {path} cannot be unpacked: {error}") from error
        if not unpacker.eof:
            raise PydockError(f"log file {path} cannot be unpacked: it is cut off")
        plain.flush()
        return os.dup(plain.fileno()), inode


class LocalFile(_File):
    """A file of the driver `local`."""

    _window: tuple[int, bytes] = (0, b"")

    @property
    def at(self) -> int:
        """How many bytes have been read."""
        return self._at

    def go_to(self, at: int) -> None:
        """Read on from there."""
        self._at = min(at, self._size)

    def read(self) -> list[Batch] | None:
        """Return the batches of the next block."""
        block = self._block()
        batches = []
        at, end = 0, len(block)
        while end - at >= FIXED:
            size, stream, flags, time = HEADER.unpack_from(block, at)
            if size > READ - FIXED or stream not in STREAMS:
                raise PydockError(f"log file {self._path} is damaged at {self._at + at}")
            if end - at < FIXED + size:
                break
            start = at + HEADER.size
            batches.append(Batch(STREAMS[stream], time, block[start : start + size], flags))
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
        (size,) = TRAILER.unpack(self._slice(end - TRAILER.size, end))
        start = end - FIXED - size
        if start < 0:
            return None
        frame = self._slice(start, end)
        length, stream, _flags, time = HEADER.unpack_from(frame)
        if length != size or stream not in STREAMS:
            return None
        return Batch(STREAMS[stream], time, frame[HEADER.size : HEADER.size + size]), start

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
    _second: tuple[str, int] = ("", 0)

    def read(self) -> list[Batch] | None:
        """Return the batches of the next block: lines of the same time and stream are one batch."""
        block = self._block()
        cut = block.rfind(b"\n") + 1
        if not cut and len(block) == READ:
            block = self._block(BLOCK)
            cut = block.rfind(b"\n") + 1
        if not cut and len(block) == BLOCK:
            raise PydockError(f"log file {self._path} is damaged at {self._at}")
        self._at += cut
        batches: list[Batch] = []
        at = 0
        while at < cut:
            end = block.index(b"\n", at) + 1
            tail = block[max(at, block.rfind(STREAM, at, end)) : end]
            end = _run_end(block, end, cut, tail)
            batches += self._run(block[at:end], tail)
            at = end
        return batches or None

    def _run(self, lines: bytes, tail: bytes) -> list[Batch]:
        """Return the batch of lines with the same end: they are taken apart by three calls, and not one by one."""
        try:
            if not lines.startswith(HEAD) or lines.count(b"\n") != 1 + lines.count(tail + HEAD):
                raise ValueError("not as our own writer makes it")
            stream, time, attributes = self._tail(tail)
            text = lines[len(HEAD) : -len(tail)].replace(tail + HEAD, b"")
            data = text[:-2] + b"\n"
            if b"\\" in text[:-2] or not text.endswith(b"\\n"):
                data = scanstring('"' + text.decode() + '"', 1)[0].encode("utf-8", "replace")
            return [Batch(stream, time, data, 0, attributes)]
        except ValueError:
            return [self._entry(line) for line in lines.split(b"\n")[:-1]]

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
        return self._entry(window[newline + 1 : end - base - 1]), base + newline + 1

    def _entry(self, line: bytes) -> Batch:
        try:
            entry = json.loads(line)
            data = entry["log"].encode("utf-8", "replace")
            return Batch(entry["stream"], self._time(entry["time"]), data, 0, _attributes(entry))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PydockError(f"log file {self._path} is damaged: {error}") from error

    def _tail(self, tail: bytes) -> tuple[str, int, str]:
        """Return stream, time and attributes of the end of a line; ValueError when it is no such end."""
        stream, _, rest = tail[len(STREAM) :].partition(b'"')
        if rest.startswith(TIME):
            return stream.decode(), self._time(rest[len(TIME) : -3].decode()), ""
        entry = json.loads(HEAD + tail)
        return entry["stream"], self._time(entry["time"]), _attributes(entry)

    def _time(self, text: str) -> int:
        # Lines of one second have all but the fraction in common.
        second, fraction = text[:19], text[20:-1]
        if not (fraction.isdigit() and len(fraction) <= 9 and text[19:20] == "." and text[-1:] == "Z"):
            return parse_rfc3339(text)
        if second != self._second[0]:
            self._second = (second, parse_rfc3339(second + "Z"))
        return self._second[1] + int(fraction.ljust(9, "0"))


def _run_end(block: bytes, end: int, cut: int, tail: bytes) -> int:
    """Return where the lines end that have the same tail as the one that ends at `end`.

    Lines of the same time lie together, so the end is found by steps that double, and then by halves.
    """
    step, other = 512, cut + 1
    while end < cut and other > cut:
        probe = block.index(b"\n", min(end + step, cut - 1)) + 1
        if block.endswith(tail, end, probe):
            end, step = probe, step * 2
        else:
            other = probe
    while end < cut:
        probe = block.index(b"\n", (end + other) // 2) + 1
        if probe >= other:
            probe = block.index(b"\n", end) + 1
            if probe >= other:
                break
        if block.endswith(tail, end, probe):
            end = probe
        else:
            other = probe
    return end


def _attributes(entry: dict[str, object]) -> str:
    return json.dumps(entry["attrs"], ensure_ascii=False) if entry.get("attrs") else ""


Opener = Callable[..., LogFile]
OPENERS: dict[str, Opener] = {"local": LocalFile, "json-file": JsonFile}
