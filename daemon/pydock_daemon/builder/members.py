"""Members of a pax archive as bytes, for archives of many files: what `tarfile` writes, in a fifth of its time.

Used by `copying`; pure.
"""

import functools
import struct
import tarfile

_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s247x")
_BLANK = b" " * 8
_MAGIC = b"ustar\x0000"
_LONGEST, _LARGEST, _HIGHEST = 100, 8**11, 8**7


def head(info: tarfile.TarInfo) -> bytes:
    """Return the header of a member; what is told in more than the usual fields, or in other letters, by `tarfile`."""
    name, link, time = info.name, info.linkname, info.mtime
    usual = (
        len(name) <= _LONGEST and len(link) <= _LONGEST and name.isascii() and link.isascii() and not info.pax_headers
        and info.size < _LARGEST and 0 <= time < _LARGEST - 1 and max(info.uid, info.gid) < _HIGHEST
    )  # fmt: skip
    if not usual:
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    if info.type == tarfile.DIRTYPE:
        name += "/"
    if len(name) > _LONGEST:
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    exact = b""
    if isinstance(time, float):
        exact, time = _extended(f"mtime={time}"), round(time)
    return exact + _header(name, info.mode, info.uid, info.gid, info.size, time, info.type, link)


def _header(name: str, mode: int, uid: int, gid: int, size: int, time: int, kind: bytes, link: str) -> bytes:
    fields = [
        name.encode(), b"%07o" % (mode & 0o7777), b"%07o" % uid, b"%07o" % gid, b"%011o" % size,
        b"%011o" % time, _BLANK, kind, link.encode(), _MAGIC,
    ]  # fmt: skip
    fields[6] = b"%06o\0 " % sum(_FIELDS.pack(*fields))
    return _FIELDS.pack(*fields)


def _extended(text: str) -> bytes:
    """Return a header of one pax record: its length counts its own digits."""
    size = len(text) + 2  # with a space and a line's end
    size += len(str(size + len(str(size))))
    record = f"{size} {text}\n".encode()
    return _header_of_records(len(record)) + record + bytes(-len(record) % tarfile.BLOCKSIZE)


@functools.cache
def _header_of_records(size: int) -> bytes:
    return _header("././@PaxHeader", 0, 0, 0, size, 0, tarfile.XHDTYPE, "")
