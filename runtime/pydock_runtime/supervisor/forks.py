"""The supervisor's side of the forker: started when many processes are asked for, ended when few are. Used by runtimes.

It is waited for, a millisecond as a fork of our own would take: it waits for nobody itself. One that does not answer is
killed, and until there is another we fork ourselves.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import signal
import socket
import struct
import time
from collections import deque
from select import EPOLLIN

from pydock_runtime import credentials, forker, join, launch, reexec, rootless, sync
from pydock_runtime.supervisor.diary import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.known import Habit
    from pydock_runtime.seccomp import Program
    from pydock_runtime.supervisor.poller import Poller
    from pydock_runtime.user import User

    Asked = tuple[dict[str, Any], Program | None]
    """The `process` of a spec and its compiled filter."""

MANY, SOON = 20, 20.0
"""So many processes within so many seconds are worth a forker, which takes as much as ten of them to start."""
IDLE = 60.0
"""Seconds without one after which it is ended."""
PATIENCE = 2.0
"""Seconds that it has for an answer."""
_PID = struct.Struct("=i")


class Regular:
    """A process that the forker can make again and again, as long as it lives on `channel`."""

    __slots__ = ("_forks", "account", "channel", "number", "program", "spec")

    def __init__(self, forks: Forks, channel: socket.socket, number: int, asked: Asked, account: User) -> None:
        self._forks = forks
        self.channel = channel
        self.number = number
        self.spec, self.program = asked
        self.account = account

    def is_it(self, asked: Asked) -> bool:
        """Say whether this is what it makes."""
        return self.program is asked[1] and self.spec == asked[0]

    @property
    def lives(self) -> bool:
        """Whether the forker does that knows of it."""
        return self._forks.speaks_on(self.channel)

    def forget(self) -> None:
        """Nobody will ask for it any more."""
        self._forks.forget(self)


class Forks:
    """The forker of one supervisor, while there is one. Owns its channel and its pidfd."""

    __slots__ = ("_channel", "_last", "_numbers", "_pidfd", "_poller", "_ready", "_recent", "_sweep", "wait_for")

    def __init__(self, poller: Poller, wait_for: Callable[[int, str], None], sweep: Callable[[], None]) -> None:
        """Of runtimes: `wait_for` takes the pidfd of a child that is to end, `sweep` looks for those nobody knows."""
        self._poller = poller
        self.wait_for = wait_for
        self._sweep = sweep
        self._recent: deque[float] = deque(maxlen=MANY)
        self._last = 0.0
        self._channel: socket.socket | None = None
        self._ready = False
        self._pidfd = -1
        self._numbers: set[int] = set()

    def wanted(self) -> bool:
        """Say whether there is a forker for a process that has been asked for before; one is begun for many of them."""
        if rootless.limited():
            return False  # what it forks there would not be ours
        self._last = time.monotonic()
        self._recent.append(self._last)
        if self._channel is None and len(self._recent) == MANY and self._last - self._recent[0] < SOON:
            try:
                self._start()
            except OSError as error:
                self._give_up(error)
        return self._ready

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return self._channel is not None

    def speaks_on(self, channel: socket.socket) -> bool:
        """Say whether this is the forker's channel."""
        return channel is self._channel

    def regular(self, pid: int, asked: Asked, habit: Habit, cgroup: Cgroup) -> Regular | None:
        """Let the forker learn of a process beside process `pid`; None: of this one it cannot. Raises OSError."""
        channel, entry = self._channel, join.Entry(pid, cgroup)
        try:
            number = next(one for one in itertools.count() if one not in self._numbers)
            way = entry.numbered(forker.place(number))
            packed = join.packed(way, asked[0], habit, forker.GIVEN[:3], forker.GIVEN[3])
            if channel is None or packed is None or habit.again is None or len(entry.fds) > forker.WIDTH:
                return None
            if not self._send(channel, forker.NEW, number, packed, entry.fds):
                return None
            self._numbers.add(number)
            return Regular(self, channel, number, asked, habit.again.account)
        finally:
            entry.close()

    def again(self, regular: Regular, cgroup: Cgroup, stdio: tuple[int, int, int]) -> launch.Child | None:
        """Fork a regular once more; None when it or the forker has gone. Raises OSError."""
        channel = self._channel
        if channel is None or not regular.lives:
            return None
        if regular.account.uid:
            credentials.own(stdio, regular.account)
        ours, theirs = sync.pair()
        with theirs:
            sent = self._send(channel, forker.AGAIN, regular.number, b"", (*stdio, theirs.fileno()))
        try:
            pid, fds = _receive(channel) if sent else (forker.REFUSED, [])
        except OSError as error:
            pid, fds = forker.REFUSED, []
            self._give_up(error)
        if pid == forker.REFUSED:
            ours.close()
            return None
        return launch.Child(pid, fds[0], ours, cgroup)

    def forget(self, regular: Regular) -> None:
        """Let the forker forget a process."""
        if regular.lives:
            self._numbers.discard(regular.number)
            self._send(regular.channel, forker.FORGET, regular.number)

    def _send(
        self, channel: socket.socket, kind: bytes, number: int, packed: bytes = b"", fds: tuple[int, ...] = ()
    ) -> bool:
        """Send; say whether that could be done. What is too long cannot, and is no fault of the forker."""
        if len(packed) > forker.LIMIT - forker.HEAD.size:
            return False
        try:
            channel.sendmsg(
                [forker.HEAD.pack(kind, number), packed],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [],
                socket.MSG_NOSIGNAL,
            )
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def close(self) -> None:
        """End it; it leaves when its channel is closed."""
        if self._channel is None:
            return
        self._poller.forget(self._channel.fileno())
        self._channel.close()
        self._channel = None
        self._ready = False
        self._numbers.clear()
        self.wait_for(self._pidfd, "forker")

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = reexec.ours()
        with theirs:
            command = program.command([], "forker")
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), forker.CHANNEL)]
            pid = os.posix_spawn("/proc/self/exe", command, program.environment(), file_actions=actions)
        self._pidfd = os.pidfd_open(pid)
        ours.settimeout(PATIENCE)
        self._channel = ours
        self._poller.watch(ours.fileno(), EPOLLIN, self._on_ready)

    def _on_ready(self, _events: int) -> None:
        """It is there, or has failed; from then on it speaks only when it is asked."""
        assert self._channel is not None
        try:
            _receive(self._channel)
        except OSError as error:
            self._give_up(error)
            return
        if not self._ready:
            self._ready = True
            self._poller.after(IDLE, self._look)

    def _look(self) -> None:
        if self._channel is not None:
            if time.monotonic() - self._last > IDLE:
                self.close()
            else:
                self._poller.after(IDLE, self._look)

    def _give_up(self, error: OSError) -> None:
        note(f"forker: {error}")
        self._recent.clear()
        if self._pidfd >= 0 and self._channel is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._sweep()  # it may have forked, and not have said so
        self.close()


def _receive(channel: socket.socket) -> tuple[int, list[int]]:
    """Return what the forker says, a pid, and its descriptor. Raises OSError."""
    fds = array.array("i")
    data, control, _, _ = channel.recvmsg(_PID.size, socket.CMSG_SPACE(fds.itemsize), socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise ConnectionError("it has ended")
    for level, kind, content in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content)
    return _PID.unpack(data)[0], fds.tolist()
