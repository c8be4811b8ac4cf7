"""The program of the forker: a process so small that its forks are cheap. Started by `supervisor.forks`; ends with it.

A fork costs by what there is to copy, and afterwards once more by what both go on to use. The supervisor is three times
as large as this, and does much between two forks. All that this does is to carry out what the supervisor has made
ready, see `packing`; so it imports next to nothing. What is forked is the supervisor's own child (CLONE_PARENT), which
only it waits for.

    supervisor  NEW, number, steps    + descriptors, which get the numbers from `place(number)` on
    supervisor  FORGET, number
    supervisor  AGAIN, number         + stdin, stdout, stderr, the child's end of `sync`
    forker      pid + pidfd, or REFUSED                                    the answer to AGAIN; READY before everything

A child that cannot become what it is to be says STALE on `sync`: another one, of a process that has all there is, will
find out why.
"""

from __future__ import annotations

import ctypes
import gc
import os
import struct

from pydock_runtime import abi, packing, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CHANNEL = 3
"""The descriptor on which the supervisor speaks."""
GIVEN = (4, 5, 6, 7)
"""What comes with AGAIN gets these numbers, so that all that has to be done with it stays the same."""
HOME = 32
"""Our own pid namespace. From here on descriptors stay; those below are closed after each message."""
WIDTH = 16
"""Descriptors that may come with NEW."""
NEW, FORGET, AGAIN = b"N", b"F", b"A"
HEAD = struct.Struct("=cI")
LIMIT = 1 << 16
"""Bytes of a message."""
REFUSED, READY = -1, 0
"""Instead of a pid."""
STALE = b'{"stale": true}'
_SCM_RIGHTS, _MSG_CMSG_CLOEXEC, _MSG_NOSIGNAL, _SOL_SOCKET = 1, 0x40000000, 0x4000, 1


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Control(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_size_t),
        ("level", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("fds", ctypes.c_int * WIDTH),
    )


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vectors_length", ctypes.c_size_t),
        ("control", ctypes.POINTER(_Control)),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message:
    """What is received or sent, always in the same memory."""

    __slots__ = ("_control", "_header", "_receiving", "_sending", "data", "fds")

    def __init__(self, size: int) -> None:
        self.data = ctypes.create_string_buffer(size)
        vector = _Vector(ctypes.addressof(self.data), size)
        self._control = _Control(level=_SOL_SOCKET, kind=_SCM_RIGHTS)
        self.fds = self._control.fds
        self._header = _Header(vectors=ctypes.pointer(vector), vectors_length=1, control=ctypes.pointer(self._control))
        self._receiving = steps.call("recvmsg", CHANNEL, ctypes.byref(self._header), _MSG_CMSG_CLOEXEC)
        self._sending = steps.call("sendmsg", CHANNEL, ctypes.byref(self._header), _MSG_NOSIGNAL)

    def receive(self) -> int:
        """Wait for one; return its length, 0 at the end. Raises OSError."""
        self._header.control_length = ctypes.sizeof(self._control)
        _, function, arguments, _ = self._receiving
        length: int = function(*arguments)
        if length < 0:
            raise steps.failure("recvmsg")
        return length

    def received(self) -> int:
        """Return how many descriptors came along."""
        if not self._header.control_length:
            return 0
        return int(self._control.length - _Control.fds.offset) // ctypes.sizeof(ctypes.c_int)

    def send(self, *, count: int) -> None:
        """Send it, with so many descriptors. Raises OSError."""
        used = _Control.fds.offset + count * ctypes.sizeof(ctypes.c_int)
        self._control.length = used
        self._header.control_length = used if count else 0
        steps.carry_out((self._sending,))


def place(number: int) -> int:
    """Return the first of the descriptors that lead to what has this number."""
    return HOME + 1 + number * WIDTH


_setns, (_home, _pids) = steps.call("setns", HOME, abi.CLONE_NEWPID)[1:3]
_saying_so = steps.call("write", GIVEN[3], STALE, len(STALE))


class Regular:
    """A process that is forked again and again."""

    __slots__ = ("_checks", "_first", "_last", "target")

    def __init__(self, number: int, packed: bytes, unpacking: packing.Unpacking) -> None:
        self.target = steps.ready(place(number))
        self._first, self._checks, self._last = unpacking.unpacked(packed)

    def become(self) -> NoReturn:
        """Be it, in a child."""
        try:
            steps.carry_out(self._first)
            if steps.all_hold(self._checks):
                steps.carry_out(self._last)
        finally:
            os._exit(0 if steps.succeeds(_saying_so) else 1)


class Forker:
    """What it has been told; `serve` returns when the supervisor has gone."""

    def __init__(self) -> None:
        self._asked, self._answer = Message(LIMIT), Message(ctypes.sizeof(ctypes.c_int))
        self._pid = ctypes.c_int.from_buffer(self._answer.data)
        self._unpacking = packing.Unpacking()
        self._regulars: dict[int, Regular] = {}
        (_, self._clone, self._how, _), self._pidfd = steps.fork(abi.CLONE_PARENT, 0)
        self._tidy = [steps.close_range(GIVEN[0], HOME - 1)]

    def serve(self) -> None:
        """Answer."""
        self._say(READY)
        while length := self._asked.receive():
            kind, number = HEAD.unpack_from(self._asked.data, 0)
            if kind == AGAIN:
                self._again(self._regulars.get(number))
            elif kind == NEW:
                self._add(number, length)
            else:
                self._forget(number)
            steps.carry_out(self._tidy)

    def _say(self, pid: int, *, count: int = 0) -> None:
        self._pid.value = pid
        self._answer.send(count=count)

    def _again(self, regular: Regular | None) -> None:
        pid = REFUSED
        if regular is not None and _setns(regular.target, _pids) == 0:
            pid = self._clone(*self._how)
            if pid == 0:
                regular.become()
            if _setns(_home, _pids) != 0:
                os.abort()  # the next one would be in there too
        if pid < 0:
            self._say(REFUSED)
        else:
            self._answer.fds[0] = self._pidfd.value
            self._say(pid, count=1)

    def _add(self, number: int, length: int) -> None:
        self._forget(number)
        fds = self._asked.fds[: self._asked.received()]
        moved = [steps.call("dup3", fd, place(number) + index, os.O_CLOEXEC) for index, fd in enumerate(fds)]
        if all(map(steps.succeeds, moved)):  # there may not be so many numbers
            packed = bytes(memoryview(self._asked.data)[HEAD.size : length])
            self._regulars[number] = Regular(number, packed, self._unpacking)

    def _forget(self, number: int) -> None:
        self._regulars.pop(number, None)
        if not self._regulars:
            self._unpacking.clear()
        steps.carry_out([steps.close_range(place(number), place(number + 1) - 1)])


def main() -> None:
    """Run."""
    steps.carry_out(steps.close_all_but([CHANNEL]))
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    os.dup2(own, HOME, inheritable=False)
    os.close(own)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        Forker().serve()
    except ConnectionError:
        return  # the supervisor has gone
