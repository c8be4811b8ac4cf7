"""No cgroup: of a container whose owner may make none. Its processes are those of init's pid namespace.

The same verbs as of v1 and v2; what needs a cgroup is refused. Used by the verbs only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from pydock_runtime.cgroup import details
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from pydock_runtime.cgroup.layout import Layout


class Cgroup:
    """What there is instead of a cgroup; `pid` is the container's init, 0 before there is one."""

    __slots__ = ("_layout", "_pid", "path")

    def __init__(self, layout: Layout, pid: int = 0) -> None:
        self.path = ""
        self._layout = layout
        self._pid = pid

    def make(self) -> None:
        """There is nothing to make."""

    def add(self, pid: int) -> None:
        """Whoever is not moved stays where it is."""

    def entrances(self, _beside: int = 0) -> list[int]:
        """There is nothing to enter."""
        return []

    def update(self, resources: dict[str, Any]) -> None:
        """Refuse every limit; rules for devices are none to who owns no device."""
        for name, limit in resources.items():
            if name != "devices" and _says_something(limit):
                raise RuntimeFailure(f"cannot set {name} limit: container could not join or create cgroup", INVALID)

    def freeze(self) -> None:
        """Refused."""
        self._refuse()

    def thaw(self) -> None:
        """Refused."""
        self._refuse()

    def ask_frozen(self, *, frozen: bool) -> bool:
        """Refused."""
        self._refuse()

    def freezer(self) -> str:
        """Refused."""
        self._refuse()

    def frozen(self) -> bool:
        """Nobody can be."""
        return False

    def kill(self) -> None:
        """Send SIGKILL to init and with it, where it is the first of its pid namespace, to all."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """Return the processes in init's pid namespace; of the host's init alone."""
        space = _pid_namespace(self._pid)
        if space is None:
            return []
        if space == _pid_namespace(os.getpid()):
            return [self._pid]
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _pid_namespace(pid) == space]

    def remove(self) -> None:
        """There is nothing to remove; OSError EBUSY while a process is left."""
        if self.pids():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def views(self) -> dict[str, str]:
        """Return what is shown inside at /sys/fs/cgroup: the cgroups that the container's owner is in."""
        own: dict[str, str] = {}
        with open("/proc/self/cgroup") as file:
            for line in file:
                _, names, path = line.rstrip("\n").split(":", 2)
                own[names.removeprefix("name=")] = path
        if not self._layout.hierarchies:
            return {"": f"{self._layout.unified}{own.get('', '/')}"}
        return {name: point + own.get(name, "/") for name, point in self._layout.hierarchies.items()}

    def stats(self) -> dict[str, Any]:
        """Nobody has counted anything."""
        return {}

    def details(self) -> dict[str, Any]:
        """Nobody has counted anything."""
        return details.of_v1({})

    def cpu_time(self) -> int:
        """Refused with OSError, as where nobody has counted it."""
        raise OSError(errno.ENODEV, "no cgroup")

    def oom_kills(self) -> int:
        """Refused with OSError, as where there is no memory controller."""
        raise OSError(errno.ENODEV, "no cgroup")

    def oom_stuck(self) -> bool:
        """Refused with OSError."""
        raise OSError(errno.ENODEV, "no cgroup")

    def oom_notices(self) -> tuple[int, int]:
        """Refused with OSError."""
        raise OSError(errno.ENODEV, "no cgroup")

    @staticmethod
    def _refuse() -> NoReturn:
        raise RuntimeFailure("cannot toggle freezer: cgroups not configured for container", INVALID)


def _pid_namespace(pid: int) -> str | None:
    """Return the pid namespace of a process; None where it is gone, a zombie, or not ours to look into."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") if pid else None
    except OSError:
        return None


def _says_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_says_something(part) for part in value.values())
    return bool(value)
