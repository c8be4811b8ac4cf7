"""The supervisor's side of the forker: started when many processes are asked for, ended when few are. Used by runtimes.

It is waited for, a millisecond as a fork of our own would take: it waits for nobody itself. One that does not answer is
killed, and until there is another we fork ourselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections import deque
from select import EPOLLIN

from pydock_runtime import forker, launch, reexec, rlimits, rootless, sync
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.supervisor.diary import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program
    from pydock_runtime.supervisor.poller import Poller

MANY, SOON = 20, 20.0
"""So many processes within so many seconds are worth a forker, which takes as much as ten of them to start."""
IDLE = 60.0
"""Seconds without one after which it is ended."""
PATIENCE = 2.0
"""Seconds that it has for an answer."""
NOT_SENT = -1


class Regular:
    """A process that the forker has made before, by the number that it is asked by; who learns what its next one tells.

    As long as the forker lives on `channel`.
    """

    __slots__ = ("_forks", "channel", "number", "program", "spec")

    def __init__(
        self, forks: Forks, channel: socket.socket, number: int, spec: dict[str, Any], program: Program | None
    ) -> None:
        self._forks = forks
        self.channel = channel
        self.number = number
        self.spec = spec
        self.program = program

    def learn(self, told: dict[str, Any]) -> None:
        """Hand it on."""
        self._forks.tell(self.channel, {"habit": self.number, "told": told})

    def forget(self) -> None:
        """Nobody will ask for it any more."""
        self._forks.tell(self.channel, {"forget": self.number})


class Forks:
    """The forker of one supervisor, while there is one. Owns its channel and its pidfd."""

    __slots__ = ("_channel", "_filters", "_last", "_pidfd", "_poller", "_ready", "_recent", "_sweep", "_wait_for")

    def __init__(self, poller: Poller, wait_for: Callable[[int, str], None], sweep: Callable[[], None]) -> None:
        """Of runtimes: `wait_for` takes the pidfd of a child that is to end, `sweep` looks for those nobody knows."""
        self._poller = poller
        self._wait_for = wait_for
        self._sweep = sweep
        self._recent: deque[float] = deque(maxlen=MANY)
        self._last = 0.0
        self._channel: socket.socket | None = None
        self._ready = False
        self._pidfd = -1
        self._filters: dict[Program, int] = {}

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

    def again(self, regular: Regular, cgroup: Cgroup, stdio: tuple[int, int, int]) -> launch.Child | None:
        """Fork a regular once more; None when the forker has gone meanwhile. Raises RuntimeFailure."""
        if regular.channel is not self._channel:
            return None
        return self._fork({"again": regular.number}, regular.spec, regular.program, cgroup, stdio)

    def first(
        self,
        pid: int,
        spec: dict[str, Any],
        program: Program | None,
        cgroup: Cgroup,
        stdio: tuple[int, int, int],
    ) -> launch.Child | None:
        """Fork a process beside process `pid`; its `habit` is the regular that it begins. Otherwise as `again`."""
        number = self._number(program)
        asked = {"pid": pid, "process": spec, "cgroup": cgroup.path, "filter": number}
        return self._fork(asked, spec, program, cgroup, stdio)

    def _fork(
        self,
        asked: dict[str, Any],
        spec: dict[str, Any],
        program: Program | None,
        cgroup: Cgroup,
        stdio: tuple[int, int, int],
    ) -> launch.Child | None:
        channel = self._channel
        if channel is None:
            return None
        ours, theirs = sync.pair()
        try:
            with theirs:
                forker.send(channel, asked, (*stdio, theirs.fileno()))
            data, fds = forker.receive(channel)
            if not data:
                raise ConnectionError("it has ended")
        except OSError as error:
            ours.close()
            self._give_up(error)
            return None
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            ours.close()
            raise RuntimeFailure(answer["error"]["message"], answer["error"]["kind"])
        regular = Regular(self, channel, answer["habit"], spec, program)
        return launch.Child(answer["pid"], fds[0], ours, cgroup, regular)

    def tell(self, channel: socket.socket, message: dict[str, Any]) -> None:
        """Send what needs no answer to the forker on this channel."""
        if channel is self._channel:
            try:
                forker.send(channel, message)
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """End it; it leaves when its channel is closed."""
        if self._channel is None:
            return
        self._poller.forget(self._channel.fileno())
        self._channel.close()
        self._channel = None
        self._ready = False
        self._filters.clear()
        self._wait_for(self._pidfd, "forker")

    def _number(self, program: Program | None) -> int:
        """Return the number of a filter, which is sent once."""
        if program is None:
            return NOT_SENT
        if program not in self._filters:
            number = self._filters[program] = len(self._filters)
            content, *rest = program.saved()
            if self._channel is not None:
                self.tell(self._channel, {"filter": number, "saved": [content.decode("latin-1"), *rest]})
        return self._filters[program]

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = reexec.ours()
        with theirs:
            command = program.command([str(rlimits.files())], "forker")
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
            data, _ = forker.receive(self._channel)
        except OSError as error:
            self._give_up(error)
            return
        if not data:
            self._give_up(ConnectionError("it has ended"))
        elif not self._ready:
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
