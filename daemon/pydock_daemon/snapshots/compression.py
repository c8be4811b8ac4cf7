"""Reading of compressed streams: gzip, zstd, xz, bzip2 and none, told by their first bytes.

Used by the unpacking child (which loads what it needs before it is confined) and by the daemon for archives. Output
comes in pieces of at most a megabyte, however far a hostile stream expands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, cast

PIECE = 1 << 20
HEAD = 6
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)

Open = Callable[[Iterable[bytes]], Iterator[bytes]]


class CompressionError(ValueError):
    """The stream is not what its first bytes say, or ends too early."""


def detect(head: bytes) -> str:
    """Return the compression that a stream with these first six bytes has: a key of `OPENERS`."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    return "none"


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks


def _members(chunks: Iterable[bytes], new: Callable[[], Any], errors: tuple[type[Exception], ...]) -> Iterator[bytes]:
    """Decompress concatenated members; zeros after the last one are padding, as gzip(1) takes them."""
    decompressor = new()
    for chunk in chunks:
        data = chunk
        while True:
            if decompressor.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                decompressor = new()
            try:
                piece = decompressor.decompress(data, PIECE)
            except errors as error:
                raise CompressionError(f"corrupt compressed data: {error}") from error
            if piece:
                yield piece
            if decompressor.eof:
                data = decompressor.unused_data
            elif decompressor.needs_input:
                break
            else:
                data = b""
    if not decompressor.eof:
        raise CompressionError("unexpected end of compressed data")


def _gzip() -> Open:
    from isal import igzip_lib

    def new() -> Any:
        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)

    # The stub of isal declares its class of errors as an instance.
    errors = cast("tuple[type[Exception], ...]", (igzip_lib.error, EOFError))
    return lambda chunks: _members(chunks, new, errors)


def _xz() -> Open:
    import lzma

    return lambda chunks: _members(chunks, lzma.LZMADecompressor, (lzma.LZMAError, EOFError))


def _bzip2() -> Open:
    import bz2

    return lambda chunks: _members(chunks, bz2.BZ2Decompressor, (OSError, EOFError))


def _zstd() -> Open:
    import zstandard

    def opened(chunks: Iterable[bytes]) -> Iterator[bytes]:
        readable = cast("IO[bytes]", _Readable(chunks))
        source = zstandard.ZstdDecompressor().stream_reader(readable, read_across_frames=True)
        try:
            while piece := source.read(PIECE):
                yield piece
        except zstandard.ZstdError as error:
            raise CompressionError(f"corrupt compressed data: {error}") from error

    return opened


class _Readable:
    """Chunks as the `read` that zstandard asks for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        data = self._rest or next(self._chunks, b"")
        if 0 <= size < len(data):
            self._rest = data[size:]
            return data[:size]
        self._rest = b""
        return data


OPENERS: dict[str, Callable[[], Open]] = {
    "none": lambda: _plain,
    "gzip": _gzip,
    "zstd": _zstd,
    "xz": _xz,
    "bzip2": _bzip2,
}


def opener(kind: str) -> Open:
    """Load the library of a compression and return its reader; nothing is imported after that."""
    return OPENERS[kind]()


def decompressed(chunks: Iterator[bytes], loaded: Mapping[str, Open] | None = None) -> Iterator[bytes]:
    """Return the plain bytes of a stream of unknown compression; CompressionError when it is corrupt.

    Where nothing can be imported any more `loaded` has the readers of all kinds.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    kind = detect(head)
    return (loaded[kind] if loaded else opener(kind))(_again(head, chunks))


def _again(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest
