"""The log drivers' writers: what a process prints, on disk, as Docker's drivers would keep it; made by containers.

`json-file` is Docker's own form, one object a line, for tools that read the files themselves. `local` is ours, made
so that writing costs one system call a read, and no work per line:

    u32 length of payload | u8 stream | u8 flags | u64 nanoseconds | payload | u32 length of payload     (big endian)

A payload is one or more whole lines that came together, or (LOG_PARTIAL) a piece of a line that is longer than
LINE_LIMIT or was never ended. The length at the end lets a reader walk backwards from the end of the file. A file
that reached its size is renamed `<file>.1`, `.1` to `.2` and so on, as Docker names them.

A full disk must not stop a container: what cannot be written is lost, and said once in supervisor.log.
"""

from __future__ import annotations

import os
import time
from json.encoder import encode_basestring  # the C one; unlike json.dumps it makes no \\u escapes of plain UTF-8

from pydock_runtime.supervisor.diary import note
from pydock_runtime.supervisor.protocol import LOG_HEADER, LOG_PARTIAL, LOG_STREAMS, LOG_TRAILER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Piece = bytes | bytearray | memoryview

LINE_LIMIT = 16 << 10  # bytes of a line that are kept waiting for its end; Docker's figure
MODE = 0o640
STEPS = 16  # pieces a file is made of at least before it is rotated


class Log:
    """The driver `none`, and what all drivers promise."""

    __slots__ = ("step",)

    def __init__(self) -> None:
        self.step = 0

    def keep(self, stream: int, data: bytes) -> None:
        """Keep a piece of output, in whole lines of at most `step` bytes, so that a small file is rotated in time."""
        start = 0
        while self.step and len(data) - start > self.step:
            end = data.rfind(b"\n", start, start + self.step) + 1 or start + self.step
            self.write(stream, data[start:end])
            start = end
        self.write(stream, data[start:] if start else data)

    def write(self, stream: int, data: bytes) -> None:
        """Write a piece of output at once."""

    def close(self) -> None:
        """Write the ends of lines that were never ended, and close the file."""


class Capture(Log):
    """The first `limit` bytes of both streams, for the exit event of an exec: what a health check printed."""

    __slots__ = ("_data", "_limit")

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._data = bytearray()
        self._limit = limit

    def write(self, stream: int, data: bytes) -> None:
        """Keep what there is room for, and one byte more, which tells that there was more."""
        self._data += data[: self._limit + 1 - len(self._data)]

    def text(self) -> str:
        """Return what was kept; three dots stand for the rest."""
        kept = self._data[: self._limit].decode(errors="replace")
        return kept + "..." if len(self._data) > self._limit else kept


def open_log(options: dict[str, Any] | None) -> Log:
    """Return the writer for {"driver", "path", "max_size", "max_files", "compress"}. Raises OSError, ValueError."""
    if options is None or options["driver"] == "none":
        return Log()
    if options.get("compress"):
        raise ValueError("log option compress is not supported")
    driver = DRIVERS.get(options["driver"])
    if driver is None:
        raise ValueError(f"log driver {options['driver']} is not supported")
    size = options.get("max_size") or 0
    log = driver(LogFile(options["path"], size, options.get("max_files") or 1))
    log.step = size // STEPS
    return log


class LogFile:
    """A file that is appended to and renamed away when it has reached `max_size` bytes (0: never)."""

    __slots__ = ("_complained", "_fd", "_max_files", "_max_size", "path", "size")

    def __init__(self, path: str, max_size: int, max_files: int) -> None:
        self.path = path
        self._max_size = max_size
        self._max_files = max_files
        self._complained = False
        self._fd = -1
        self.size = 0
        self._open()

    @property
    def fd(self) -> int:
        """The file being written, for reading it too."""
        return self._fd

    def append(self, pieces: Sequence[Piece]) -> None:
        """Write all pieces or none of them."""
        if 0 < self._max_size <= self.size:
            self._rotate()
        total = sum(map(len, pieces))
        try:
            written = os.writev(self._fd, pieces)
            if written < total:
                written += os.write(self._fd, b"".join(pieces)[written:])
            if written < total:
                raise OSError(0, "no space for all of it", self.path)
        except OSError as error:
            self._complain(error)
        else:
            self.size += total

    def truncate(self, size: int) -> None:
        """Cut what a writer that was killed left unfinished."""
        os.ftruncate(self._fd, size)
        self.size = size

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self.size = os.fstat(self._fd).st_size

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            note(f"output lost: {self.path}: {error}")
        if self._fd >= 0:
            os.ftruncate(self._fd, self.size)

    def _rotate(self) -> None:
        try:
            for number in range(self._max_files - 1, 0, -1):
                older = f"{self.path}.{number}"
                newer = f"{self.path}.{number - 1}" if number > 1 else self.path
                if number == 1 or os.path.exists(newer):
                    os.rename(newer, older)
            if self._max_files < 2:
                os.unlink(self.path)
            old = self._fd
            self._open()
            os.close(old)
        except OSError as error:
            self._complain(error)


class LocalLog(Log):
    """Writes frames of whole lines."""

    __slots__ = ("_file", "_rests")

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file
        self._rests: dict[int, bytearray] = {}
        end = sound_end(file.fd, file.size)
        if end != file.size:
            file.truncate(end)

    def write(self, stream: int, data: bytes) -> None:
        rest = self._rests.get(stream)
        if rest is None:
            rest = self._rests[stream] = bytearray()
        cut = data.rfind(b"\n") + 1
        if cut:
            lines = data if cut == len(data) else data[:cut]
            self._append(stream, 0, [rest, lines] if rest else [lines])
            rest.clear()
        rest += data[cut:]
        if len(rest) >= LINE_LIMIT:
            self._append(stream, LOG_PARTIAL, [rest])
            rest.clear()

    def close(self) -> None:
        for stream, rest in self._rests.items():
            if rest:
                self._append(stream, LOG_PARTIAL, [rest])
        self._rests.clear()
        self._file.close()

    def _append(self, stream: int, flags: int, payload: Sequence[Piece]) -> None:
        size = sum(map(len, payload))
        header = LOG_HEADER.pack(size, stream, flags, time.time_ns())
        self._file.append([header, *payload, LOG_TRAILER.pack(size)])


class JsonLog(Log):
    """Writes Docker's json-file objects, {"log":"line\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}."""

    __slots__ = ("_file", "_rests")

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file
        self._rests: dict[int, bytearray] = {}

    def write(self, stream: int, data: bytes) -> None:
        rest = self._rests.get(stream)
        if rest is None:
            rest = self._rests[stream] = bytearray()
        cut = data.rfind(b"\n") + 1
        if cut:
            rest += data[:cut]
            self._append(stream, bytes(rest))
            rest.clear()
        rest += data[cut:]
        if len(rest) >= LINE_LIMIT:
            whole = len(rest) - len(rest) % LINE_LIMIT
            self._append(stream, bytes(rest[:whole]))
            del rest[:whole]

    def close(self) -> None:
        for stream, rest in self._rests.items():
            if rest:
                self._append(stream, bytes(rest))
        self._rests.clear()
        self._file.close()

    def _append(self, stream: int, lines: bytes) -> None:
        head = '{"log":"'
        tail = f'","stream":"{LOG_STREAMS[stream]}","time":"{rfc3339nano(time.time_ns())}"}}\n'
        if b"\x7f" in lines or _maybe_long(lines):
            text = "".join(head + escape(line.decode("utf-8", "replace")) + tail for line in _pieces(lines))
        else:
            # All lines are escaped by one call, in which DEL, that needs no escape, stands for the ends of lines.
            marked = escape(lines.decode("utf-8", "replace").replace("\n", "\x7f"))
            text = head + marked.replace("\x7f", "\\n" + tail + head)
            text = text[: -len(head)] if marked.endswith("\x7f") else text + tail
        self._file.append([text.encode()])


DRIVERS = {"local": LocalLog, "json-file": JsonLog}

_GO_ESCAPES = (("\t", "\\u0009"), ("\b", "\\u0008"), ("\f", "\\u000c"))
_GO_REPLACED = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


def escape(text: str) -> str:
    """Return `text` as the inside of a JSON string, with the escapes that Docker's writer chooses."""
    for character, code in _GO_ESCAPES:
        if character in text:
            return code.join(map(escape, text.split(character)))
    text = encode_basestring(text)[1:-1]
    for character, code in _GO_REPLACED:
        if character in text:
            text = text.replace(character, code)
    return text


def rfc3339nano(nanoseconds: int) -> str:
    """Return a time as Go's RFC3339Nano prints it in UTC: no zeros at the end of the fraction."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def sound_end(fd: int, size: int) -> int:
    """Return where the last whole frame of a `local` file ends; `size` unless its writer was killed while writing."""
    fixed = LOG_HEADER.size + LOG_TRAILER.size
    if size >= fixed:
        (length,) = LOG_TRAILER.unpack(os.pread(fd, LOG_TRAILER.size, size - LOG_TRAILER.size))
        start = size - fixed - length
        if start >= 0 and LOG_HEADER.unpack(os.pread(fd, LOG_HEADER.size, start))[0] == length:
            return size
    end = 0
    while end + fixed <= size:
        length = LOG_HEADER.unpack(os.pread(fd, LOG_HEADER.size, end))[0]
        if end + fixed + length > size:
            break
        end += fixed + length
    return end


def _maybe_long(lines: bytes) -> bool:
    # A line of more than LINE_LIMIT bytes covers one aligned half of LINE_LIMIT without a newline.
    half = LINE_LIMIT // 2
    return any(lines.find(b"\n", at, at + half) < 0 for at in range(0, len(lines) - half + 1, half))


def _pieces(lines: bytes) -> list[bytes]:
    *ended, last = lines.split(b"\n")
    whole = [line + b"\n" for line in ended]
    return [line[at : at + LINE_LIMIT] for line in (*whole, last) for at in range(0, len(line), LINE_LIMIT)]
