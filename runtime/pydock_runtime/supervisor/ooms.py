"""The OOM killer in a container: told by the kernel, counted by the cgroup; one Watch a container.

Made by containers, and by the verb `events`.

A Watch owns its descriptor until `end`. A kernel that tells nothing leaves what is counted at the end.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.supervisor.poller import Poller, Timer

# On v1 the notice comes before the kill, with the kernel's report about it in between; on v2 also for mere pressure. So
# we look again, after pauses that double, and no container keeps the supervisor busy by being short of memory.
PAUSE = 0.02
LOOKS = 5
REST = 0.2  # seconds after a report in which further kills are gathered for the next one


class Watch:
    """Calls `report(kills)` for every one or more kills; `report(0)` when it is full and its OOM killer is disabled."""

    __slots__ = ("_cgroup", "_fd", "_kills", "_poller", "_report", "_timer")

    def __init__(self, poller: Poller, report: Callable[[int], None]) -> None:
        self._cgroup: Cgroup | None = None
        self._fd = -1
        self._kills = 0
        self._poller = poller
        self._report = report
        self._timer: Timer | None = None

    @property
    def kills(self) -> int:
        """What has been reported so far."""
        return self._kills

    def restore(self, kills: int) -> None:
        """Report what comes after so many, which have been."""
        self._kills = kills

    def begin(self, cgroup: Cgroup) -> None:
        """Be told from now on; what was killed before is reported as well."""
        self._cgroup = cgroup
        try:
            self._fd, events = cgroup.oom_notices()
        except OSError:
            return
        self._poller.watch(self._fd, events, self._on_notice)
        self._count(cgroup)

    def end(self, cgroup: Cgroup) -> None:
        """Report what is not reported yet, and let go; before the cgroup is removed."""
        self._close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._count(cgroup)

    def _on_notice(self, _events: int) -> None:
        self._close()
        self._look_after(0)

    def _look_after(self, looks: int) -> None:
        self._timer = self._poller.after(PAUSE * 2**looks, lambda: self._look(looks + 1))

    def _look(self, looks: int) -> None:
        self._timer = None
        if self._cgroup is None:
            return
        found = self._count(self._cgroup)
        if not found and looks < LOOKS:
            self._look_after(looks)
            return
        if not found and _stuck(self._cgroup):
            self._report(0)
        self._timer = self._poller.after(REST, self._begin_again)

    def _begin_again(self) -> None:
        self._timer = None
        if self._cgroup is not None:
            self.begin(self._cgroup)

    def _count(self, cgroup: Cgroup) -> bool:
        try:
            kills = cgroup.oom_kills()
        except OSError:  # no memory controller
            return False
        new, self._kills = kills - self._kills, kills
        if new > 0:
            self._report(new)
        return new > 0

    def _close(self) -> None:
        if self._fd >= 0:
            self._poller.forget(self._fd)
            os.close(self._fd)
            self._fd = -1


def _stuck(cgroup: Cgroup) -> bool:
    try:
        return cgroup.oom_stuck()
    except OSError:  # removed by somebody else
        return False
