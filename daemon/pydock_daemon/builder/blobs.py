"""The blob of a layer while its archive is made: hashed here, compressed and written by a thread behind. For `direct`.

It is a gzip file of pieces (`likeness`), of which some may be taken over from another blob as they are.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from isal import isal_zlib

from pydock_daemon.containers.commit import GZIP, LEVEL
from pydock_daemon.images.content import Ingest

AHEAD = 8
"""Pieces of the archive that wait to be compressed at most."""
COPY = 1 << 20


class Blob:
    """A blob that is being written. `places` are where the pieces of another are, and `old` is that one, open."""

    def __init__(self, ingest: Ingest, old: int | None, places: Mapping[bytes, tuple[int, int]]) -> None:
        self._ingest, self._old, self._places = ingest, old, places if old is not None else {}
        self._hashed, self._begin = hashlib.sha256(), 0
        self._compressor: Any = None
        self._pool = ThreadPoolExecutor(1, "blob")
        self._waiting: deque[Future[None]] = deque()
        self.pieces: dict[bytes, tuple[int, int]] = {}
        """Where the pieces of this one are."""

    @property
    def diff_id(self) -> str:
        """Return the digest of what was written."""
        return f"sha256:{self._hashed.hexdigest()}"

    def has(self, key: bytes) -> bool:
        """Say whether a piece can be taken over."""
        return key in self._places

    def write(self, data: bytes, *, known: bool = False) -> None:
        """Take in bytes of the archive; those of a `known` piece are only hashed."""
        self._hashed.update(data)
        if not known:
            self._behind(self._compress, data)

    def end_piece(self, key: bytes) -> None:
        """End a piece: what was written of it, or the one that is known."""
        self._behind(self._take if self.has(key) else self._flush, key)

    def finish(self) -> None:
        """End the last piece, which has no name, and wait until all is written."""
        self._behind(self._flush, b"")
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """End the thread; what waits is not written any more."""
        self._pool.shutdown(cancel_futures=True)

    def _behind(self, action: Callable[[bytes], None], data: bytes) -> None:
        if len(self._waiting) >= AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(action, data))

    def _compress(self, data: bytes) -> None:
        if self._compressor is None:
            self._compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
        if packed := self._compressor.compress(data):
            self._ingest.write(packed)

    def _flush(self, key: bytes) -> None:
        self._compress(b"")
        self._ingest.write(self._compressor.flush())
        self._compressor = None
        self._ended(key)

    def _take(self, key: bytes) -> None:
        offset, left = self._places[key]
        while left:
            data = os.pread(self._old or 0, min(left, COPY), offset)
            if not data:
                raise OSError(f"the blob of an earlier layer ends before {offset}")
            self._ingest.write(data)
            offset, left = offset + len(data), left - len(data)
        self._ended(key)

    def _ended(self, key: bytes) -> None:
        if key:
            self.pieces[key] = self._begin, self._ingest.size - self._begin
        self._begin = self._ingest.size
