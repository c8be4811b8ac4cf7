"""Output that a client has not taken yet, where the death of its supervisor does not reach it. Used by attachments.

It is in a memory file of which pydockd may hold a duplicate, see holding. Whoever goes on with it sends each byte once,
at whatever moment the one before was killed: what is put in counts from the moment that the file's head names its end,
and the place up to which it was sent is the file's own position, which sendfile(2) moves within the call that sends.

What was sent is not written over, since a socket may go on referring to those pages until the other end has read them:
the file is emptied when all was sent, and what is far behind is given back in whole huge pages.
"""

from __future__ import annotations

import mmap
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = 8
"""Bytes at the beginning that name the end, little endian; a file without them is empty."""
BLOCK = 2 << 20  # a huge page, which a memory file may be made of; and more than a socket holds
BEHIND = 4 * BLOCK


class Unsent:
    """The bytes for one client, in their order; owns the file, which is made when it is needed."""

    __slots__ = ("_end", "_file", "_freed", "_sent")

    def __init__(self, file: int = -1) -> None:
        """Go on with `file` of another supervisor, which is owned from now on."""
        self._file = file
        self._sent = self._end = HEAD
        self._freed = BLOCK
        if file >= 0:
            self._sent = os.lseek(file, 0, os.SEEK_CUR)
            self._end = int.from_bytes(os.pread(file, HEAD, 0), "little")
            if self._end <= self._sent:
                self._empty()

    def __len__(self) -> int:
        return self._end - self._sent

    @property
    def file(self) -> int:
        """The memory file. Raises OSError."""
        if self._file < 0:
            self._file = os.memfd_create("unsent", os.MFD_CLOEXEC)
            os.lseek(self._file, HEAD, os.SEEK_SET)
        return self._file

    def put(self, pieces: Sequence[bytes]) -> None:
        """Take what is to be sent after the rest. Raises OSError."""
        size = sum(map(len, pieces))
        if os.pwritev(self.file, pieces, self._end) < size:
            raise OSError("a memory file took half of what was written")
        os.pwrite(self._file, (self._end + size).to_bytes(HEAD, "little"), 0)
        self._end += size

    def send(self, sock: int, most: int) -> None:
        """Send what the socket takes, which is one that does not block. Raises OSError, BlockingIOError."""
        self._sent += os.sendfile(sock, self._file, None, min(most, len(self)))
        if self._sent == self._end:
            self._empty()
        elif self._sent - self._freed > BEHIND:
            keep = (self._sent - BLOCK) // BLOCK * BLOCK
            with mmap.mmap(self._file, keep - self._freed, offset=self._freed) as read:
                read.madvise(mmap.MADV_REMOVE)
            self._freed = keep

    def close(self) -> None:
        """Forget it all."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._sent = self._end = HEAD

    def _empty(self) -> None:
        os.ftruncate(self._file, 0)
        self._sent = self._end = os.lseek(self._file, HEAD, os.SEEK_SET)
        self._freed = BLOCK
