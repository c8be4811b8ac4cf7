"""The log drivers' writers: what a process prints, on disk, as Docker's drivers would keep it; made by containers.

`json-file` is Docker's own form, one object a line, for tools that read the files themselves. `local` is ours, made
so that writing costs one system call a read, and no work per line:

    u32 length of payload | u8 stream | u8 flags | u64 nanoseconds | payload | u32 length of payload     (big endian)

A payload is one or more whole lines that came together, or (PARTIAL) a piece of a line that is longer than
LINE_LIMIT or was never ended. The length at the end lets a reader walk backwards from the end of the file.
"""

from __future__ import annotations

import os
import time
from json.encoder import encode_basestring  # the C one; unlike json.dumps it makes no \\u escapes of plain UTF-8

from pydock_runtime.supervisor.logfile import LogFile
from pydock_runtime.supervisor.logformat import ENDED, HEADER, LINE_LIMIT, PARTIAL, STREAMS, TRAILER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.supervisor.logfile import Piece
    from pydock_runtime.supervisor.poller import Poller

STEPS = 16  # pieces a file is made of at least before it is rotated


class Log:
    """The driver `none`, and what all drivers promise."""

    __slots__ = ("step",)

    def __init__(self) -> None:
        self.step = 0

    @property
    def full(self) -> bool:
        """Whether the process has to wait until pydockd has sent on what is there, see logfile."""
        return False

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

    def saved(self) -> dict[int, bytes]:
        """Return the beginnings of lines that wait for their ends, by stream."""
        return {}

    def restore(self, saved: dict[int, bytes]) -> None:
        """Go on where another writer of the same log was."""

    def look_again(self) -> None:
        """See whether a full log is one still."""

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

    def saved(self) -> dict[int, bytes]:
        return {0: bytes(self._data)}

    def restore(self, saved: dict[int, bytes]) -> None:
        self._data += saved[0]

    @property
    def limit(self) -> int:
        """Bytes that are kept at most."""
        return self._limit

    def text(self) -> str:
        """Return what was kept; three dots stand for the rest."""
        kept = self._data[: self._limit].decode(errors="replace")
        return kept + "..." if len(self._data) > self._limit else kept


def open_log(options: dict[str, Any] | None, poller: Poller) -> Log:
    """Return the writer for {"driver", "path", "max_size", "max_files", "compress", "attributes", "cursor"}.

    `attributes` is the JSON object that `json-file` puts into each line, `cursor` see logfile. Raises OSError,
    ValueError.
    """
    if options is None or options["driver"] == "none":
        return Log()
    driver = DRIVERS.get(options["driver"])
    if driver is None:
        raise ValueError(f"log driver {options['driver']} is not supported")
    size = options.get("max_size") or 0
    file = LogFile(
        options["path"],
        size,
        options.get("max_files") or 1,
        compressor=poller if options.get("compress") else None,
        cursor=options.get("cursor"),
    )
    log = driver(file, options.get("attributes") or "")
    log.step = size // STEPS
    return log


class FileLog(Log):
    """What both drivers that write files share: the file, and the beginnings of lines that wait for their ends."""

    __slots__ = ("_file", "_rests")

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file
        self._rests: dict[int, bytearray] = {}

    @property
    def full(self) -> bool:
        return self._file.full

    def look_again(self) -> None:
        if self._file.full:
            self._file.rotate()

    def write(self, stream: int, data: bytes) -> None:
        rest = self._rests.get(stream)
        if rest is None:
            rest = self._rests[stream] = bytearray()
        cut = data.rfind(b"\n") + 1
        if cut:
            lines = data if cut == len(data) else data[:cut]
            self._lines(stream, rest + lines if rest else lines)
            rest.clear()
        rest += data[cut:]
        if len(rest) >= LINE_LIMIT:
            whole = len(rest) - len(rest) % LINE_LIMIT
            self._piece(stream, bytes(rest[:whole]), ended=False)
            del rest[:whole]

    def saved(self) -> dict[int, bytes]:
        return {stream: bytes(rest) for stream, rest in self._rests.items()}

    def restore(self, saved: dict[int, bytes]) -> None:
        self._rests = {stream: bytearray(rest) for stream, rest in saved.items()}

    def close(self) -> None:
        for stream, rest in self._rests.items():
            if rest:
                self._piece(stream, bytes(rest), ended=True)
        self._rests.clear()
        self._file.close()

    def _lines(self, stream: int, lines: Piece) -> None:
        """Append whole lines."""
        raise NotImplementedError

    def _piece(self, stream: int, data: bytes, *, ended: bool) -> None:
        """Append a piece of a line, or with `ended` the rest of one that has no end."""
        raise NotImplementedError


class LocalLog(FileLog):
    """Writes frames of whole lines."""

    __slots__ = ()

    def __init__(self, file: LogFile, _attributes: str) -> None:
        super().__init__(file)
        end = sound_end(file.fd, file.size)
        if end != file.size:
            file.truncate(end)

    def _lines(self, stream: int, lines: Piece) -> None:
        self._append(stream, 0, lines)

    def _piece(self, stream: int, data: bytes, *, ended: bool) -> None:
        self._append(stream, PARTIAL | ENDED if ended else PARTIAL, data)

    def _append(self, stream: int, flags: int, payload: Piece) -> None:
        size = len(payload)
        self._file.append([HEADER.pack(size, stream, flags, time.time_ns()), payload, TRAILER.pack(size)])


class JsonLog(FileLog):
    """Writes Docker's json-file objects, {"log":"line\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}."""

    __slots__ = ("_tails",)

    def __init__(self, file: LogFile, attributes: str) -> None:
        super().__init__(file)
        extra = f',"attrs":{attributes}' if attributes else ""
        self._tails = {stream: f'","stream":"{name}"{extra},"time":"' for stream, name in STREAMS.items()}

    def _lines(self, stream: int, lines: Piece) -> None:
        self._append(stream, bytes(lines))

    def _piece(self, stream: int, data: bytes, *, ended: bool) -> None:
        self._append(stream, data)

    def _append(self, stream: int, lines: bytes) -> None:
        head = '{"log":"'
        tail = f'{self._tails[stream]}{rfc3339nano(time.time_ns())}"}}\n'
        if b"\x7f" in lines or _maybe_long(lines):
            text = "".join(head + escape(line.decode("utf-8", "replace")) + tail for line in _pieces(lines))
        else:
            # All lines are escaped by one call, in which DEL, that needs no escape, stands for the ends of lines.
            marked = escape(lines.decode("utf-8", "replace").replace("\n", "\x7f"))
            text = head + marked.replace("\x7f", "\\n" + tail + head)
            text = text[: -len(head)] if marked.endswith("\x7f") else text + tail
        self._file.append([text.encode()])


DRIVERS: dict[str, type[LocalLog | JsonLog]] = {"local": LocalLog, "json-file": JsonLog}

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


_second = (-1, "")  # the last second that was printed: most lines have it in common


def rfc3339nano(nanoseconds: int) -> str:
    """Return a time as Go's RFC3339Nano prints it in UTC: no zeros at the end of the fraction."""
    global _second
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if seconds != _second[0]:
        _second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{_second[1]}{fraction}Z"


def sound_end(fd: int, size: int) -> int:
    """Return where the last whole frame of a `local` file ends; `size` unless its writer was killed while writing."""
    fixed = HEADER.size + TRAILER.size
    if size >= fixed:
        (length,) = TRAILER.unpack(os.pread(fd, TRAILER.size, size - TRAILER.size))
        start = size - fixed - length
        if start >= 0 and HEADER.unpack(os.pread(fd, HEADER.size, start))[0] == length:
            return size
    end = 0
    while end + fixed <= size:
        length = HEADER.unpack(os.pread(fd, HEADER.size, end))[0]
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
