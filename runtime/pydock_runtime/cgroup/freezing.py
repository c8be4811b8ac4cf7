"""Freezing and thawing: asked for again until it holds. Used by v1, v2 and, a look at a time, by the supervisor.

A process that waits in the kernel, or a crowd that forks, is not frozen at once, and perhaps never.
"""

from __future__ import annotations

import errno
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Group(Protocol):
        """A cgroup of either version."""

        path: str

        def ask_frozen(self, *, frozen: bool) -> bool:
            """Ask for it, and say whether it holds."""


PATIENCE = 2.0  # seconds until it is given up
PAUSE = 0.001  # seconds between two looks


def wait(group: Group, *, frozen: bool) -> None:
    """Freeze or thaw a cgroup, waiting until it holds. Raises OSError."""
    deadline = time.monotonic() + PATIENCE
    while not group.ask_frozen(frozen=frozen):
        if time.monotonic() > deadline:
            raise given_up(group, frozen=frozen)
        time.sleep(PAUSE)


def given_up(group: Group, *, frozen: bool) -> OSError:
    """Let the processes go on that could not all be frozen; return what to say."""
    group.ask_frozen(frozen=False)
    return OSError(errno.ETIMEDOUT, f"cgroup did not {'freeze' if frozen else 'thaw'}", group.path)
