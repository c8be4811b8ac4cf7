"""What the supervisor knows of one container from the processes that have entered it before. Used by `join`.

A health check is the same program again and again, so what was made ready for the last one serves the next. Who a user
is says the container's own /etc/passwd and /etc/group, and a container can make any look at its files wait for ever:
the supervisor never looks. A process inside reads them, tells what they say, and the next one has only to compare.
"""

from __future__ import annotations

import os

from pydock_runtime import credentials, steps, sync, user
from pydock_runtime.errors import RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from pydock_runtime.seccomp import Program

LIMIT = 1 << 12
"""Bytes that are told; in a container with more each process finds out for itself. Not all that `sync` can take: JSON
may write one byte as six."""


class Again:
    """A process once more: what has to be as it was, and then all that is left to do."""

    __slots__ = ("account", "checks", "environment", "program", "steps")

    def __init__(self, process: credentials.Process, files: user.Files, path: bytes) -> None:
        """RuntimeFailure, ValueError: there is no such user, or the program cannot have been found there."""
        login = credentials.Login(process, user.found_in(files, process.user))
        self.account = login.account
        self.checks = [
            *(check for file, text in zip(user.PATHS, files, strict=True) for check in steps.holds(file, text)),
            *steps.enters(os.fsencode(process.cwd)),
            *process.search.checks(path),
        ]
        self.steps = [*process.first, *login.steps, *process.last]
        self.environment = login.envp
        self.program = steps.call("execve", path, process.argv, login.envp)


class Habit:
    """A process that may be asked for again, and what those before it have told."""

    __slots__ = ("again", "process", "repeated")

    def __init__(self, process: credentials.Process) -> None:
        self.process = process
        self.repeated = False
        self.again: Again | None = None
        """None: it has to find out for itself, or to say why it cannot."""

    def learn(self, told: dict[str, Any]) -> None:
        """Take what a process has told of the files and of its program."""
        files = (told["users"][0].encode("latin-1"), told["users"][1].encode("latin-1"))
        try:
            self.again = Again(self.process, files, told["path"].encode("latin-1"))
        except (RuntimeFailure, ValueError):
            self.again = None


class Known:
    """Of one container; at first nothing."""

    __slots__ = ("_habit", "_program", "_spec")

    def __init__(self) -> None:
        self._spec: dict[str, Any] = {}
        self._program: Program | None = None
        self._habit: Habit | None = None

    def habit(self, spec: dict[str, Any], program: Program | None) -> Habit:
        """Return a `process` of a spec made ready, the last one when that was the same; RuntimeFailure: it is wrong."""
        if self._habit is None or not self.was_last(spec, program):
            self._habit = Habit(credentials.Process(spec, program))
            self._spec, self._program = spec, program
        else:
            self._habit.repeated = True
        return self._habit

    @property
    def last(self) -> Habit | None:
        """What was asked for last."""
        return self._habit

    def was_last(self, spec: dict[str, Any], program: Program | None) -> bool:
        """Say whether this is what was asked for last."""
        return self._habit is not None and program is self._program and spec == self._spec


def tell(channel: socket.socket, process: credentials.Process) -> None:
    """Let the parent learn, from inside, what the container's files say; they are read as root, as they will be."""
    files = user.files()
    try:
        path = process.search.find()
    except RuntimeFailure:
        return
    if sum(map(len, files)) + len(path) <= LIMIT:
        users = [content.decode("latin-1") for content in files]
        sync.send(channel, {"users": users, "path": path.decode("latin-1")})
