"""Docker's multiplexed stream: stdout and stderr on one connection. The daemon writes it for logs, the client reads it.

Each frame is a header of eight bytes (stream, three zeros, length as big-endian u32) and its payload; as described in
the API reference under "Attach to a container".
"""

import struct

from .errors import PydockError

STDIN, STDOUT, STDERR, SYSTEM = 0, 1, 2, 3
"""SYSTEM carries an error of the daemon itself."""
_HEADER = struct.Struct(">BxxxI")
HEADER_SIZE = _HEADER.size


def frame(stream: int, data: bytes, *, size: int | None = None) -> bytes:
    """Return a frame; with `size` the beginning of one whose payload has that many bytes."""
    return _HEADER.pack(stream, len(data) if size is None else size) + data


class Demuxer:
    """Takes a stream apart, however its bytes arrive."""

    __slots__ = ("_left", "_partial", "_stream")

    def __init__(self) -> None:
        self._partial = b""
        self._stream = STDOUT
        self._left = 0

    @property
    def complete(self) -> bool:
        """Whether the bytes so far end with a frame; a stream that ends otherwise was cut off."""
        return not self._left and not self._partial

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the pieces of payload in data, each with its stream; a piece may be a part of a frame.

        PydockError when the bytes are no such stream: its other end does not speak this protocol.
        """
        pieces: list[tuple[int, bytes]] = []
        data = self._partial + data
        at = 0
        while True:
            if self._left:
                piece = data[at : at + self._left]
                if piece:
                    pieces.append((self._stream, piece))
                    self._left -= len(piece)
                    at += len(piece)
                if self._left:
                    self._partial = b""
                    return pieces
            if len(data) - at < HEADER_SIZE:
                self._partial = data[at:]
                return pieces
            self._stream, self._left = _HEADER.unpack_from(data, at)
            if self._stream > SYSTEM:
                raise PydockError(f"unrecognized input header: {self._stream}")
            at += HEADER_SIZE
