"""What the host mounts: the v1 hierarchies, and the unified one. Read once. Used by the package only."""

from __future__ import annotations

import os

TYPE_CHECKING = False


class Layout:
    """`hierarchies`: mount point of each v1 hierarchy by its controllers' name; `unified`: that of v2, None without."""

    __slots__ = ("hierarchies", "unified")

    def __init__(self, hierarchies: dict[str, str], unified: str | None) -> None:
        self.hierarchies = hierarchies
        self.unified = unified


_host: list[Layout] = []


def of_host() -> Layout:
    """Return the layout of this host."""
    if not _host:
        with open("/proc/self/mountinfo") as file:
            _host.append(parse(file.read()))
    return _host[0]


def parse(mountinfo: str) -> Layout:
    """Return the layout that a text of /proc/self/mountinfo shows; proc_pid_mountinfo(5)."""
    hierarchies: dict[str, str] = {}
    unified = None
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        fields, rest = head.split(), tail.split()
        point, type_ = fields[4], rest[0]
        if type_ == "cgroup2":
            unified = point
        elif type_ == "cgroup":
            hierarchies.setdefault(os.path.basename(point), point)
    return Layout(hierarchies, unified)
