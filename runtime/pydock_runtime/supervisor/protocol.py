"""The wire between pydockd and the supervisor: frames of JSON with descriptors; used by both ends.

A frame is a 32-bit big-endian length and that many bytes of UTF-8 JSON (an object). Descriptors ride (SCM_RIGHTS) on
the first byte of the frame whose `fds` member counts them: the kernel may glue the bytes of several frames into one
read, so the count, and not the read, says whose they are. Received descriptors belong to whoever gets the message;
close them. `sent` is the monotonic clock: after a stop of its process the supervisor refuses what is older than STALE.

    request   {"id": 7, "op": "start", "sent": 1234.5, "container": "...", ...}
    answer    {"id": 7, "result": {...}}  or  {"id": 7, "error": {"kind": "not-found", "message": "..."}}
    event     {"event": "exit", "container": "...", "exec": null, "code": 0, ...}
"""

from __future__ import annotations

import json
import os
import socket
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = 1
SOCKET_NAME = "supervisor.sock"
LOCK_NAME = "supervisor.lock"
LOG_NAME = "supervisor.log"

NOT_FOUND = "not-found"
CONFLICT = "conflict"
INVALID = "invalid"
EXEC_NOT_FOUND = "exec-not-found"
EXEC_DENIED = "exec-denied"
SYSTEM = "system"

SEALED = 4  # where a stream's number is expected: stdin, see envelope
PIDFD = 3  # where a stream's number is expected: the descriptor is the process itself
STALE = 1.0  # seconds after which pydockd gives up what it asked of a supervisor that is stopped
MAX_FRAME = 64 << 20
MAX_FDS = 32
READ_SIZE = 64 << 10
_RECEIVING = int(socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
_SENDING = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_LENGTH = 4
_INT = array("i").itemsize


class Fd(int):
    """A descriptor among what is saved, which the program that follows has to inherit."""


class ProtocolError(ValueError):
    """The other end does not speak this protocol; the connection is of no more use."""


def encode(message: dict[str, Any]) -> bytes:
    """Return the frame of `message`; the caller sets its `fds` member when descriptors go along."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(_LENGTH, "big") + body


class Decoder:
    """Puts frames together from what `receive` gives; owns the descriptors whose frame is not complete yet."""

    __slots__ = ("_buffer", "_fds")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: list[int] = []

    def feed(self, data: bytes, fds: Sequence[int]) -> list[tuple[dict[str, Any], list[int]]]:
        """Return the frames that `data` completes, each with its descriptors; raises ProtocolError."""
        self._fds += fds
        buffer = self._buffer
        buffer += data
        messages = []
        at = 0
        while len(buffer) - at >= _LENGTH:
            size = int.from_bytes(buffer[at : at + _LENGTH], "big")
            if size > MAX_FRAME:
                raise ProtocolError(f"frame of {size} bytes")
            end = at + _LENGTH + size
            if len(buffer) < end:
                break
            messages.append(self._message(buffer[at + _LENGTH : end]))
            at = end
        del buffer[:at]
        return messages

    def _message(self, body: bytearray) -> tuple[dict[str, Any], list[int]]:
        try:
            message = json.loads(body)
            count = message.get("fds", 0) if isinstance(message, dict) else -1
        except ValueError as error:
            raise ProtocolError(f"not JSON: {error}") from error
        if not isinstance(count, int) or not 0 <= count <= len(self._fds):
            raise ProtocolError("not an object with its descriptors")
        fds, self._fds = self._fds[:count], self._fds[count:]
        return message, fds

    def saved(self) -> dict[str, Any]:
        """Return what `restore` of another decoder goes on with."""
        return {"buffer": bytes(self._buffer), "fds": [Fd(fd) for fd in self._fds]}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where another decoder was."""
        self._buffer += saved["buffer"]
        self._fds += saved["fds"]

    def close(self) -> None:
        """Close the descriptors of frames that will never be complete."""
        close_all(self._fds)
        self._fds = []


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Read what there is, at most READ_SIZE bytes, without waiting; b"" is the end. Raises OSError, ProtocolError."""
    # Not socket.recv_fds: up to Python 3.11 it forgets the flags, so that a program that is run would inherit them.
    data, told, flags, _ = sock.recvmsg(READ_SIZE, socket.CMSG_LEN(MAX_FDS * _INT), _RECEIVING)
    passed = array("i")
    for level, kind, fds in told:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            passed.frombytes(fds[: len(fds) // _INT * _INT])
    if flags & socket.MSG_CTRUNC:
        close_all(passed)
        raise ProtocolError("descriptors were cut off")
    return data, passed.tolist()


def transmit(sock: socket.socket, data: bytes | memoryview, fds: Sequence[int] = ()) -> int:
    """Send what fits, without waiting; returns the bytes taken (descriptors go with the first). Raises OSError."""
    if not fds:
        return sock.send(data, _SENDING)
    return sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))], _SENDING)


def duplicates(fds: Sequence[int]) -> list[int]:
    """Return duplicates of descriptors, all or none. Raises OSError."""
    made: list[int] = []
    try:
        for fd in fds:
            made.append(os.dup(fd))
    except OSError:
        close_all(made)
        raise
    return made


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody took."""
    for fd in fds:
        os.close(fd)
