"""The program of the forker: a process so small that its forks are cheap. Started by `supervisor.forks`; ends with it.

A fork costs by what there is to copy, and afterwards once more by what the parent goes on to use. The supervisor is
three times as large as this, and does much between two forks. What is forked here is the supervisor's own child
(CLONE_PARENT), which only it waits for.

    supervisor  {"pid", "process", "cgroup", "filter"} + stdin, stdout, stderr, the child's end of `sync`
    supervisor  {"again": n} + the same                                         n is the answer to such a request
    forker      {"pid", "habit": n} + pidfd,  or  {"error": {"kind", "message"}}
    supervisor  {"filter": n, "saved": [...]} | {"habit": n, "told": {...}} | {"forget": n}            without answer
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import signal
import socket
import sys

from pydock_runtime import cgroup, credentials, join, linux, rlimits, seccomp
from pydock_runtime.errors import SYSTEM, RuntimeFailure, text
from pydock_runtime.known import Habit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.seccomp import Program

CHANNEL = 3
"""The descriptor on which the supervisor speaks."""
LIMIT = 1 << 20
GIVEN = (4, 5, 6, 7)
"""What comes with a request gets these numbers, so that all that has to be done with it stays the same."""


class Regular:
    """A process that is forked again and again, and the open way into its container."""

    __slots__ = ("_entry", "habit", "work")

    def __init__(self, message: dict[str, Any], program: Program | None, channel: socket.socket) -> None:
        self.habit = Habit(credentials.Process(message["process"], program))
        self.habit.repeated = True
        self._entry = join.Entry(message["pid"], cgroup.open_existing(message["cgroup"]))
        self.work = join.Work(self._entry, message["process"], self.habit.process, GIVEN[:3], channel, habit=self.habit)

    def close(self) -> None:
        """Close the way."""
        self._entry.close()


class Forker:
    """What it has been told; `serve` returns when the supervisor has gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._given = _socket_to_come(GIVEN[3])
        self._filters: dict[int, Program] = {}
        self._regulars: dict[int, Regular] = {}
        self._next = 0

    def serve(self) -> None:
        """Answer."""
        while True:
            data, fds = receive(self._channel)
            if not data:
                return
            self._take(json.loads(data), fds)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        if "saved" in message:
            content, *rest = message["saved"]
            self._filters[message["filter"]] = seccomp.restored([content.encode("latin-1"), *rest])
        elif "told" in message:
            self._regulars[message["habit"]].habit.learn(message["told"])
        elif "forget" in message:
            self._regulars.pop(message["forget"]).close()
        else:
            self._answer(message, fds)

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        assert tuple(fds) == GIVEN
        try:
            number = message["again"] if "again" in message else self._add(message)
            pid, pidfd = join.fork(self._regulars[number].work, for_parent=True)
        except RuntimeFailure as error:
            send(self._channel, {"error": {"kind": error.kind, "message": error.message}})
        except OSError as error:
            send(self._channel, {"error": {"kind": SYSTEM, "message": text(error)}})
        else:
            send(self._channel, {"pid": pid, "habit": number}, (pidfd,))
            os.close(pidfd)
        for fd in fds:
            os.close(fd)

    def _add(self, message: dict[str, Any]) -> int:
        self._next += 1
        self._regulars[self._next] = Regular(message, self._filters.get(message["filter"]), self._given)
        return self._next


def _socket_to_come(fd: int) -> socket.socket:
    """Return the object of a descriptor that is not open yet, and will be again and again."""
    os.dup2(CHANNEL, fd, inheritable=False)
    found = socket.socket(fileno=fd)
    os.close(fd)
    return found


def send(channel: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send a message with duplicates of descriptors. Raises OSError."""
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([json.dumps(message).encode()], control, socket.MSG_NOSIGNAL)


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return a message and its descriptors; b"" at the end. Raises OSError."""
    data, control, _, _ = channel.recvmsg(LIMIT, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content)
    return data, fds.tolist()


def main() -> None:
    """Run; the one argument is the soft limit of descriptors of what is forked."""
    channel = socket.socket(fileno=CHANNEL)
    os.set_inheritable(CHANNEL, False)
    linux.close_all_but([CHANNEL])
    rlimits.raise_files(int(sys.argv[1]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    gc.collect()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(ConnectionError):
        send(channel, {"ready": True})
        Forker(channel).serve()
