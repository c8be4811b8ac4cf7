"""The writing end of a pipe, kept open by whoever holds the envelope, and closed by whoever opens it. Used by ends.

pydockd holds duplicates of what a supervisor that comes next needs. Of a stdin that ends with its client it may not be
the pipe itself: the process would not see the end before pydockd had closed its duplicate. So the pipe's end is sent
over a socket that nobody receives from: there it is open, also when the supervisor has died, until it is taken out.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket

_FDS = socket.CMSG_LEN(array.array("i").itemsize)


def seal(fd: int) -> socket.socket:
    """Return an envelope with a duplicate of `fd`. Raises OSError."""
    inside, envelope = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with inside:
        socket.send_fds(inside, [b"\0"], [fd])
    return envelope


def look(envelope: socket.socket) -> int:
    """Return a duplicate of what is in it, which stays there; -1: it was opened."""
    return _receive(envelope, socket.MSG_PEEK)


def unseal(envelope: socket.socket) -> None:
    """Close what is in it, and the envelope."""
    with envelope:
        fd = _receive(envelope, 0)
        if fd >= 0:
            os.close(fd)


def _receive(envelope: socket.socket, flags: int) -> int:
    fds = array.array("i")
    with contextlib.suppress(BlockingIOError):
        flags |= socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        for _, _, data in envelope.recvmsg(1, _FDS, flags)[1]:
            fds.frombytes(data)
    return fds[0] if fds else -1
