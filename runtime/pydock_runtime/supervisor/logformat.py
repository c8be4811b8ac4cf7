"""The forms of log files, known to the supervisor, which writes them, and to pydockd, which reads them.

A file of the driver `local` is a sequence of frames, see logs; that of `json-file` is Docker's. Older files may be
compressed: gzip files whose extra field says which plain file they were.
"""

from __future__ import annotations

import os
import struct
import zlib

HEADER = struct.Struct(">IBBQ")
"""What a frame begins with: length of the payload, stream, flags, nanoseconds since the epoch."""
TRAILER = struct.Struct(">I")
"""What a frame ends with: the length again."""
PARTIAL = 1
"""The flag of a frame whose payload is a piece of a line, and not its end."""
ENDED = 2
"""The flag of a partial frame whose line has no further piece: the process ended without ending it."""
STREAMS = {1: "stdout", 2: "stderr"}
LINE_LIMIT = 16 << 10
"""Bytes of a line that are kept waiting for its end; a longer one is kept in pieces of this length. Docker's figure."""

LONGEST_LINE = 128 << 10  # of json-file: a line of LINE_LIMIT bytes that are all escaped, and its rest

CURSOR = struct.Struct(">QQ")
"""What pydockd has sent on of a log: the beginning (see `begin_of`) of a file, and how many bytes of it."""

GZ_SUFFIX = ".gz"
GZ_EXTRA = struct.Struct(">QQ")
"""In the extra field of a compressed file: inode and beginning of the plain one."""
GZ_END = struct.Struct("<II")
_GZ_HEAD = struct.Struct("<4sIBBH2sH")  # RFC 1952: magic, deflate, FEXTRA; mtime; XFL; unix; length; one subfield
_GZ_MAGIC = b"\x1f\x8b\x08\x04"
_GZ_FIELD = b"PD"


def gz_header(mtime: int, inode: int, begin: int) -> bytes:
    """Return what a compressed log file begins with."""
    extra = GZ_EXTRA.pack(inode, begin)
    return _GZ_HEAD.pack(_GZ_MAGIC, mtime & 0xFFFFFFFF, 0, 3, 4 + len(extra), _GZ_FIELD, len(extra)) + extra


def gz_origin(path: str) -> tuple[int, int]:
    """Return inode and beginning of what a compressed log file was; zeros when it does not say. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        data = file.read(_GZ_HEAD.size + GZ_EXTRA.size)
    if len(data) == _GZ_HEAD.size + GZ_EXTRA.size and data[:4] == _GZ_MAGIC and data[12:14] == _GZ_FIELD:
        inode, begin = GZ_EXTRA.unpack_from(data, _GZ_HEAD.size)
        return inode, begin
    return 0, 0


def begin_of(path: str) -> int:
    """Return by what a log file is known however it is renamed or compressed; 0: nothing is in it, or there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        try:
            return gz_origin(path + GZ_SUFFIX)[1]
        except FileNotFoundError:
            return 0
    try:
        return begin_in(fd)
    finally:
        os.close(fd)


def begin_in(fd: int) -> int:
    """Return `begin_of` of an open plain file: the time of the first frame, or two checksums of the first line."""
    head = os.pread(fd, HEADER.size, 0)
    if len(head) < HEADER.size:
        return 0
    _size, stream, _flags, time = HEADER.unpack(head)
    if stream in STREAMS:
        return int(time)
    line = os.pread(fd, LONGEST_LINE, 0).partition(b"\n")[0]
    return zlib.crc32(line) << 32 | zlib.adler32(line)
