"""Answers that the supervisor owes, and how long each is waited for. Part of the connection in `supervisor`.

A supervisor that is merely slow has a minute. One that is stopped (SIGSTOP, a debugger) will not answer before somebody
lets it go on: what was asked of it fails within two seconds, says so, and is not carried out later. One timer watches
over all of them.
"""

import asyncio
from pathlib import Path
from typing import Any

from pydock_runtime.supervisor import protocol
from pydock_shared.errors import PydockError, Unavailable

LOOK_EVERY = protocol.STALE
"""Seconds between two looks; a stopped supervisor is noticed after one to two of them."""
LONGEST = 60.0
"""Seconds within which every operation is answered that criu has no part in."""

Answer = asyncio.Future[dict[str, Any]]


class Answers:
    """The requests under way, by their number."""

    def __init__(self) -> None:
        self.pid = 0
        """The process that owes the answers."""
        self._owed: dict[int, tuple[Answer, float, float]] = {}
        self._given_up: set[int] = set()
        self.late = 0
        """Answers that came after they were given up, since somebody last looked into what they mean."""
        self._watch: asyncio.TimerHandle | None = None

    def expect(self, number: int, longest: float = LONGEST) -> Answer:
        """Return the future of an answer, for which we wait so many seconds; `forget` it in the end."""
        loop = asyncio.get_running_loop()
        future: Answer = loop.create_future()
        self._owed[number] = (future, loop.time(), longest)
        if self._watch is None:
            self._watch = loop.call_later(LOOK_EVERY, self._look)
        return future

    def forget(self, number: int) -> None:
        """Wait no more."""
        self._owed.pop(number, None)

    def find(self, number: int) -> Answer | None:
        """Return the future that is still waited for, if it is."""
        future = self._owed.get(number, (None,))[0]
        return future if future is not None and not future.done() else None

    def came(self, number: int) -> bool:
        """Note an answer; say whether it was given up before."""
        if number not in self._given_up:
            return False
        self._given_up.remove(number)
        self.late += 1
        return True

    def lose(self, error: PydockError) -> None:
        """Fail all: the connection is lost."""
        self._given_up.clear()
        owed, self._owed = self._owed, {}
        for future, _, _ in owed.values():
            if not future.done():
                future.set_exception(error)

    def _look(self) -> None:
        self._watch = None
        loop = asyncio.get_running_loop()
        asleep = stopped(self.pid)
        for number, (future, since, longest) in self._owed.items():
            age = loop.time() - since
            if not future.done() and ((asleep and age >= LOOK_EVERY) or age >= longest):
                self._given_up.add(number)
                future.set_exception(Unavailable(self._complaint(asleep=asleep)))
        if self._owed:
            self._watch = loop.call_later(LOOK_EVERY, self._look)

    def _complaint(self, *, asleep: bool) -> str:
        if asleep:
            return f"the supervisor (process {self.pid}) is stopped: `kill -CONT {self.pid}` lets it go on"
        return f"the supervisor (process {self.pid}) does not answer"


def stopped(pid: int) -> bool:
    """Say whether a process is stopped by a signal: state T of proc_pid_stat(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False
