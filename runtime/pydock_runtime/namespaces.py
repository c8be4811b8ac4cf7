"""The kinds of namespaces; from `linux.namespaces` of a spec to what is cloned, unshared, entered. Used by launch."""

from __future__ import annotations

import contextlib
import os

from pydock_runtime import abi, linux, usermaps
from pydock_runtime.errors import INVALID, RuntimeFailure, reason
from pydock_runtime.rootfs import sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# OCI name -> (clone flag, file in /proc/PID/ns)
KINDS = {
    "mount": (abi.CLONE_NEWNS, "mnt"),
    "pid": (abi.CLONE_NEWPID, "pid"),
    "network": (abi.CLONE_NEWNET, "net"),
    "ipc": (abi.CLONE_NEWIPC, "ipc"),
    "uts": (abi.CLONE_NEWUTS, "uts"),
    "cgroup": (abi.CLONE_NEWCGROUP, "cgroup"),
    "user": (abi.CLONE_NEWUSER, "user"),
    "time": (abi.CLONE_NEWTIME, "time"),
}
# Those that a further process of a container enters in any case: entering one's own again does no harm.
ALWAYS = sum(KINDS[name][0] for name in ("mount", "network", "ipc", "uts", "cgroup"))
RARE = ("user", "time")


class Plan:
    """What becomes of each kind: flags for the fork, flags for when the cgroup is joined, files to enter."""

    __slots__ = ("clone", "enter", "offsets", "pid_path", "unshare", "user_path")

    def __init__(self, spec: dict[str, Any]) -> None:
        self.clone = 0
        self.unshare = 0
        self.enter: list[tuple[str, int]] = []
        self.pid_path: str | None = None
        self.user_path: str | None = None
        part = spec.get("linux", {})
        for entry in part.get("namespaces") or ():
            self._add(entry)
        self.offsets: dict[str, Any] = part.get("timeOffsets") or {}
        if self.offsets and not self.owns("time"):
            raise RuntimeFailure("timeOffsets need a new time namespace", INVALID)
        if self.owns("user"):
            usermaps.check(part.get("uidMappings"), part.get("gidMappings"), "the user namespace")
        elif not self.user_path and (part.get("uidMappings") or part.get("gidMappings")):
            # Of one that is joined they tell what it has already: runc 1.1 asks for them.
            raise RuntimeFailure("uidMappings and gidMappings need a new user namespace", INVALID)
        sources.check(spec.get("mounts") or [], user=self.user)
        if not self.clone & abi.CLONE_NEWNS:
            raise RuntimeFailure("a container needs a mount namespace of its own", INVALID)

    def _add(self, entry: dict[str, Any]) -> None:
        name, path = entry.get("type"), entry.get("path")
        if name not in KINDS:
            raise RuntimeFailure(f"{name} namespaces are not supported", INVALID)
        flag, file = KINDS[name]
        if name in RARE and not os.path.exists(f"/proc/self/ns/{file}"):
            raise RuntimeFailure(f"this kernel has no {name} namespaces", INVALID)
        if path and name == "pid":
            self.pid_path = path
        elif path and name == "user":
            self.user_path = path
        elif path:
            self.enter.append((path, flag))
        elif name in ("cgroup", "time"):
            # The root of a new cgroup namespace is the cgroup one is in: it is made after the cgroup is joined. The
            # clocks of a new time namespace can be set only while nobody is in it.
            self.unshare |= flag
        else:
            self.clone |= flag

    def owns(self, name: str) -> bool:
        """Say whether the container has a new namespace of this kind."""
        return bool((self.clone | self.unshare) & KINDS[name][0])

    @property
    def user(self) -> bool:
        """Say whether the container is in a user namespace, new or joined."""
        return bool(self.clone & abi.CLONE_NEWUSER or self.user_path)

    @property
    def needs_helper(self) -> bool:
        """Say whether some must be entered before the fork: they count for children only, or are the host's."""
        return bool(self.pid_path or self.user_path or (self.user and self.enter))

    def enter_before_fork(self) -> None:
        """Enter, in a helper, what its child is to be in; what the host may not enter, the owner of the users may."""
        entries = [(self.pid_path, abi.CLONE_NEWPID)] if self.pid_path else []
        late = []
        for path, flag in [*self.enter, *entries] if self.user else entries:
            try:
                enter(path, flag)
            except PermissionError:
                if not self.user_path:
                    raise
                late.append((path, flag))
        if self.user_path:
            enter(self.user_path, abi.CLONE_NEWUSER)
        for path, flag in late:
            enter(path, flag)

    def set_clocks(self) -> None:
        """Set the clocks of the new time namespace of this process's children, and enter it; time_namespaces(7)."""
        lines = "".join(
            f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}\n" for clock, offset in self.offsets.items()
        )
        if lines:
            with readable_proc():
                fd = os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, lines.encode("ascii"))
            except OSError as error:
                raise RuntimeFailure(f"timeOffsets: {reason(error)}", INVALID) from error
            finally:
                os.close(fd)
        enter("/proc/self/ns/time_for_children", abi.CLONE_NEWTIME)


@contextlib.contextmanager
def readable_proc() -> Iterator[None]:
    """Own our files in /proc meanwhile: they are the host's root's, whose none in a user namespace can open."""
    linux.prctl(abi.PR_SET_DUMPABLE, 1)
    try:
        yield
    finally:
        linux.prctl(abi.PR_SET_DUMPABLE, 0)


def of_process(pid: int) -> int:
    """Return the kinds of namespaces that a process entering a container enters, but for pid; `pid` is its init's."""
    flags = ALWAYS
    for name in RARE:
        flag, file = KINDS[name]
        try:
            if os.stat(f"/proc/{pid}/ns/{file}").st_ino != os.stat(f"/proc/self/ns/{file}").st_ino:
                flags |= flag
        except FileNotFoundError:
            # A kernel without it, or a process that is gone: entering the others will say so.
            continue
    return flags


def enter(path: str, flag: int) -> None:
    """Enter the namespace at a path; OSError names it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        linux.setns(fd, flag)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)
