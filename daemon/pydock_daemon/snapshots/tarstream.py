"""Reading of tar streams: ustar, GNU and pax, with sparse files and extended attributes. Used by the unpacking child
and by `load`.

Names are bytes, times nanoseconds. The reader never seeks and holds one header at a time. Formats: POSIX.1-2008 pax,
GNU tar manual, appendix "Tar Internals" (sparse formats old GNU, 0.0, 0.1 and 1.0).
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator

BLOCK = 512
LONGEST_RECORD = 1 << 20
LARGEST = (1 << 63) - 1
FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
KINDS = {FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO}
_META = {b"L", b"K", b"x", b"g"}
_SAME = {b"\0": FILE, b"7": FILE, b"S": FILE}
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_XATTR = b"SCHILY.xattr."
_SECOND = 1_000_000_000
Map = list[tuple[int, int]]
Records = list[tuple[bytes, bytes]]


class ArchiveError(ValueError):
    """The stream is no tar archive, is cut off, or holds what no honest archive holds."""


class Stream:
    """Bytes asked for by count, from chunks of any size."""

    __slots__ = ("_at", "_chunk", "_chunks")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0

    def pieces(self, count: int) -> Iterator[bytes | memoryview]:
        """Yield exactly `count` bytes in pieces; ArchiveError when the stream ends before."""
        while count:
            if self._at == len(self._chunk):
                self._chunk, self._at = next(self._chunks, b""), 0
                if not self._chunk:
                    raise ArchiveError("unexpected end of archive")
            piece = memoryview(self._chunk)[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        end = self._at + count
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            return data
        return b"".join(self.pieces(count))

    def skip(self, count: int) -> None:
        """Pass over exactly `count` bytes."""
        end = self._at + count
        if end <= len(self._chunk):
            self._at = end
            return
        for _ in self.pieces(count):
            pass

    def ended(self) -> bool:
        """Say whether there is nothing more."""
        if self._at == len(self._chunk):
            self._chunk, self._at = next(self._chunks, b""), 0
        return not self._chunk

    def drain(self) -> None:
        """Read to the end, so that whoever hashes the stream has seen all of it."""
        self._chunk, self._at = b"", 0
        for _ in self._chunks:
            pass


class Entry:
    """One member of an archive. `size` counts the bytes that follow in the stream, `real_size` those of the file."""

    __slots__ = (
        "gid",
        "kind",
        "link",
        "major",
        "minor",
        "mode",
        "mtime",
        "name",
        "real_size",
        "size",
        "sparse",
        "uid",
        "xattrs",
    )

    def __init__(self, header: bytes) -> None:
        name, mode, uid, gid, size, mtime, checksum, kind, link, magic, _, _, _, major, minor, prefix = _HEADER.unpack(
            header
        )
        _check(header, checksum)
        self.name = _text(name)
        self.mode = _number(mode) & 0o7777
        self.uid = _number(uid)
        self.gid = _number(gid)
        self.size = self.real_size = _number(size)
        self.mtime = _number(mtime) * _SECOND
        self.kind = _SAME.get(kind, kind)
        self.link = _text(link)
        self.xattrs: dict[bytes, bytes] = {}
        self.sparse: Map | None = None
        self.major = self.minor = 0
        if self.kind in (CHARACTER, BLOCK_DEVICE):
            self.major, self.minor = _number(major), _number(minor)
        if magic == b"ustar\0" and prefix[0]:
            self.name = _text(prefix) + b"/" + self.name
        if self.size < 0:
            raise ArchiveError("negative size in tar header")


def _check(header: bytes, field: bytes) -> None:
    total = sum(header) - sum(field) + 8 * 32
    try:
        stated = _number(field)
    except ArchiveError:
        stated = -1
    if stated == total:
        return
    # Some old programs summed signed bytes.
    if stated != (total - 256 * sum(byte > 127 for byte in header[:148] + header[156:])):
        raise ArchiveError("not a tar archive, or a corrupt one: wrong checksum in a header")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    try:
        return int(field.partition(b"\0")[0].strip() or b"0", 8)
    except ValueError as error:
        raise ArchiveError(f"invalid number in tar header: {field!r}") from error


class Archive:
    """The members of a stream in order; between two of them `contents` gives the bytes of the one just yielded."""

    __slots__ = ("_left", "_stream")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._stream = Stream(chunks)
        self._left = 0

    def __iter__(self) -> Iterator[Entry]:
        stream, names, records = self._stream, dict[bytes, bytes](), list[tuple[bytes, bytes]]()
        while not stream.ended():
            header = stream.take(BLOCK)
            if header[0] == 0 and not any(header):
                stream.drain()
                return
            entry = Entry(header)
            if entry.kind in _META:
                data = self._record(entry.size)
                if entry.kind == b"x":
                    records = _records(data)
                elif entry.kind != b"g":
                    names[entry.kind] = _text(data)
                continue
            self._complete(entry, header, names, records)
            names, records = {}, []
            padding = -entry.size % BLOCK
            self._left = entry.size
            if entry.sparse == []:
                entry.sparse = self._map_in_data()
            yield entry
            stream.skip(self._left + padding)

    @property
    def left(self) -> int:
        """Return how many bytes `contents` would give."""
        return self._left

    def contents(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the current member as they stand in the stream, once."""
        count, self._left = self._left, 0
        return self._stream.pieces(count)

    def whole(self) -> bytes:
        """Return the bytes of the current member at once; for small ones."""
        count, self._left = self._left, 0
        return self._stream.take(count)

    def _record(self, size: int) -> bytes:
        if size > LONGEST_RECORD:
            raise ArchiveError(f"a name or record of {size} bytes in a tar archive")
        data = self._stream.take(size)
        self._stream.skip(-size % BLOCK)
        return data

    def _complete(self, entry: Entry, header: bytes, names: dict[bytes, bytes], records: Records) -> None:
        """Apply what went before the header, and the sparse map of the old GNU format after it."""
        if header[156:157] == b"S":
            self._old_gnu(entry, header)
        entry.name = names.get(b"L", entry.name)
        entry.link = names.get(b"K", entry.link)
        if records:
            _pax(entry, records)
        if entry.kind not in KINDS:
            raise ArchiveError(f"{os.fsdecode(entry.name)}: unknown kind of tar entry {entry.kind!r}")
        if entry.kind == FILE and entry.name.endswith(b"/"):
            entry.kind = DIRECTORY  # the format before POSIX knew no other way to say so
        if entry.kind != FILE:
            entry.size = entry.real_size = 0
        if not 0 <= entry.size <= LARGEST or not 0 <= entry.real_size <= LARGEST:
            raise ArchiveError(f"{os.fsdecode(entry.name)}: no file has such a size")
        if not entry.name or b"\0" in entry.name or b"\0" in entry.link:
            raise ArchiveError("a tar entry without a usable name")

    def _old_gnu(self, entry: Entry, header: bytes) -> None:
        entry.real_size = _number(header[483:495])
        numbers, more = [header[at : at + 12] for at in range(386, 482, 12)], header[482]
        while more:
            block = self._stream.take(BLOCK)
            numbers += [block[at : at + 12] for at in range(0, 504, 12)]
            more = block[504]
            if len(numbers) * 12 > LONGEST_RECORD:
                raise ArchiveError("a sparse map that is too long")
        values = [_number(number) for number in numbers if number[0]]
        entry.sparse = list(zip(values[::2], values[1::2], strict=False)) or [(0, 0)]

    def _map_in_data(self) -> Map:
        """Read the sparse map of format 1.0: decimal lines at the head of the data, filled up to a block."""
        text, wanted = b"", -1
        while wanted < 0 or text.count(b"\n") < 1 + 2 * wanted:
            if self._left < BLOCK or len(text) > LONGEST_RECORD:
                raise ArchiveError("a sparse map that does not end")
            text += self._stream.take(BLOCK)
            self._left -= BLOCK
            if wanted < 0 and b"\n" in text:
                wanted = _decimal(text.partition(b"\n")[0])
        values = [_decimal(line) for line in text.split(b"\n")[1 : 1 + 2 * wanted]]
        return list(zip(values[::2], values[1::2], strict=True)) or [(0, 0)]


def _records(data: bytes) -> Records:
    """Split `length key=value\\n` records; the length counts itself."""
    found, at = [], 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space]) if space > 0 else 0
        key, equals, value = data[space + 1 : at + length - 1].partition(b"=")
        if not equals or length < 5 or data[at + length - 1 : at + length] != b"\n":
            raise ArchiveError("a malformed pax record")
        found.append((key, value))
        at += length
    return found


_FIELDS: dict[bytes, Callable[[Entry, bytes], None]] = {
    b"path": lambda entry, value: setattr(entry, "name", value),
    b"linkpath": lambda entry, value: setattr(entry, "link", value),
    b"size": lambda entry, value: _set_size(entry, _decimal(value)),
    b"uid": lambda entry, value: setattr(entry, "uid", _decimal(value)),
    b"gid": lambda entry, value: setattr(entry, "gid", _decimal(value)),
    b"mtime": lambda entry, value: setattr(entry, "mtime", _time(value)),
}


def _set_size(entry: Entry, size: int) -> None:
    entry.size = entry.real_size = size


def _pax(entry: Entry, records: Records) -> None:
    numbers: dict[bytes, list[int]] = {b"GNU.sparse.offset": [], b"GNU.sparse.numbytes": []}
    for key, value in records:
        if key in _FIELDS:
            _FIELDS[key](entry, value)
        elif key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :]] = value
        elif key in numbers:
            numbers[key].append(_decimal(value))
    if any(key.startswith(b"GNU.sparse.") for key, _ in records):
        _sparse(entry, dict(records), list(zip(*numbers.values(), strict=False)))


def _sparse(entry: Entry, records: dict[bytes, bytes], pairs: Map) -> None:
    """Read the three pax forms of a sparse file; the last one leaves an empty map, whose place is in the data."""
    entry.name = records.get(b"GNU.sparse.name", entry.name)
    real = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size")
    if real is not None:
        entry.real_size = _decimal(real)
    if records.get(b"GNU.sparse.major") == b"1":
        entry.sparse = []
    elif b"GNU.sparse.map" in records:
        values = [_decimal(word) for word in records[b"GNU.sparse.map"].split(b",") if word]
        entry.sparse = list(zip(values[::2], values[1::2], strict=False)) or [(0, 0)]
    else:
        entry.sparse = pairs or [(0, 0)]


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise ArchiveError(f"invalid number in a pax record: {text[:40]!r}")
    return int(text)


def _time(text: bytes) -> int:
    """Return the nanoseconds of decimal seconds, as `-1.5`."""
    whole, _, fraction = text.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    if fraction and not fraction.isdigit():
        raise ArchiveError(f"invalid time in a pax record: {text[:40]!r}")
    return sign * (_decimal(whole.lstrip(b"-") or b"0") * _SECOND + int(fraction[:9].ljust(9, b"0")))
