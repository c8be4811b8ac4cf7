"""The kinds of namespaces; from `linux.namespaces` of a spec to what is cloned, unshared, entered. Used by launch."""

from __future__ import annotations

import os

from pydock_runtime import abi, linux
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# OCI name -> (clone flag, file in /proc/PID/ns)
KINDS = {
    "mount": (abi.CLONE_NEWNS, "mnt"),
    "pid": (abi.CLONE_NEWPID, "pid"),
    "network": (abi.CLONE_NEWNET, "net"),
    "ipc": (abi.CLONE_NEWIPC, "ipc"),
    "uts": (abi.CLONE_NEWUTS, "uts"),
    "cgroup": (abi.CLONE_NEWCGROUP, "cgroup"),
}
JOINED = sum(flag for flag, _ in KINDS.values())


class Plan:
    """What becomes of each kind: flags for the fork, flags for when the cgroup is joined, files to enter."""

    __slots__ = ("clone", "enter", "pid_path", "unshare")

    def __init__(self, spec: dict[str, Any]) -> None:
        self.clone = 0
        self.unshare = 0
        self.enter: list[tuple[str, int]] = []
        self.pid_path: str | None = None
        for entry in spec.get("linux", {}).get("namespaces", ()):
            self._add(entry)
        if not self.clone & abi.CLONE_NEWNS:
            raise RuntimeFailure("a container needs a mount namespace of its own", INVALID)

    def _add(self, entry: dict[str, Any]) -> None:
        name, path = entry.get("type"), entry.get("path")
        if name not in KINDS:
            raise RuntimeFailure(f"{name} namespaces are not supported", INVALID)
        flag, _ = KINDS[name]
        if path and name == "pid":
            self.pid_path = path
        elif path:
            self.enter.append((path, flag))
        elif name == "cgroup":
            # The root of a new cgroup namespace is the cgroup one is in: it is made after the cgroup is joined.
            self.unshare |= flag
        else:
            self.clone |= flag

    def owns(self, name: str) -> bool:
        """Say whether the container has a new namespace of this kind."""
        return bool((self.clone | self.unshare) & KINDS[name][0])


def enter(path: str, flag: int) -> None:
    """Enter the namespace at a path."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(fd, flag)
    finally:
        os.close(fd)
