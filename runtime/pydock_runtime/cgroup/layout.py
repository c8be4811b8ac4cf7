"""What the host mounts: the v1 hierarchies, and the unified one. Read once. Used by the package only."""

from __future__ import annotations

OPTIONS = ("rw", "ro", "noprefix", "clone_children", "cpuset_v2_mode", "xattr", "favordynmods", "none")


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
        point, (type_, _, options) = head.split()[4], tail.split()[:3]
        if type_ == "cgroup2":
            unified = unified or point
        elif type_ == "cgroup":
            # The controllers stand among the options; a hierarchy without any has a name.
            words = [word.removeprefix("name=") for word in options.split(",") if word not in OPTIONS]
            words = [word for word in words if "=" not in word]
            hierarchies.setdefault(",".join(words), point)
    return Layout(hierarchies, unified)
