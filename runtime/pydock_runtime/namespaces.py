"""The kinds of namespaces; from `linux.namespaces` of a spec to what is cloned, unshared, entered. Used by launch."""

from __future__ import annotations

import contextlib
import os

from pydock_runtime import abi, linux, rootless, usermaps
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

    __slots__ = ("clone", "joined", "offsets", "unshare")

    def __init__(self, spec: dict[str, Any]) -> None:
        self.clone = 0
        self.unshare = 0
        self.joined: dict[str, str] = {}
        part = spec.get("linux", {})
        for entry in part.get("namespaces") or ():
            self._add(entry)
        self.offsets: dict[str, Any] = part.get("timeOffsets") or {}
        if self.offsets and not self.owns("time"):
            raise RuntimeFailure("timeOffsets need a new time namespace", INVALID)
        if self.owns("user"):
            usermaps.check(part.get("uidMappings"), part.get("gidMappings"), "the user namespace")
        elif "user" not in self.joined and (part.get("uidMappings") or part.get("gidMappings")):
            # Of one that is joined they tell what it has already: runc 1.1 asks for them.
            raise RuntimeFailure("uidMappings and gidMappings need a new user namespace", INVALID)
        sources.check(spec.get("mounts") or [], user=self.user)
        if not self.owns("mount") and ("mount" not in self.joined or _is_ours(self.joined["mount"], "mnt")):
            # runc would mount on the host, and leave it there.
            raise RuntimeFailure("a container needs a mount namespace that is not the host's", INVALID)

    def _add(self, entry: dict[str, Any]) -> None:
        name, path = entry.get("type"), entry.get("path")
        if name not in KINDS:
            raise RuntimeFailure(f"{name} namespaces are not supported", INVALID)
        if name in self.joined or self.owns(name):
            raise RuntimeFailure(f"malformed spec file: duplicated ns {name}", INVALID)
        flag, file = KINDS[name]
        if name in RARE and not os.path.exists(f"/proc/self/ns/{file}"):
            raise RuntimeFailure(f"this kernel has no {name} namespaces", INVALID)
        if path:
            self.joined[name] = path
        elif name in ("cgroup", "time"):
            # The root of a new cgroup namespace is the cgroup one is in: it is made after the cgroup is joined. The
            # clocks of a new time namespace can be set only while nobody is in it.
            self.unshare |= flag
        else:
            self.clone |= flag

    def owns(self, name: str) -> bool:
        """Say whether the container has a new namespace of this kind."""
        return bool((self.clone | self.unshare) & KINDS[name][0])

    def path(self, name: str) -> str | None:
        """Return the path of the namespace of this kind that is joined; None where none is."""
        return self.joined.get(name)

    def entered(self) -> list[tuple[str, int]]:
        """Return path and flag of what a process enters itself; mounts last, since they hide the other paths."""
        names = [name for name in self.joined if name not in ("pid", "user", "mount")]
        return [(self.joined[name], KINDS[name][0]) for name in (*names, "mount") if name in self.joined]

    @property
    def user(self) -> bool:
        """Say whether the container is in a user namespace, new or joined."""
        return bool(self.clone & abi.CLONE_NEWUSER or "user" in self.joined)

    @property
    def needs_helper(self) -> bool:
        """Say whether some must be entered before the fork: they count for children only, or are the host's."""
        return "pid" in self.joined or "user" in self.joined or (self.user and bool(self.joined))

    def enter_before_fork(self) -> None:
        """Enter, in a helper, what its child is to be in; what the host may not enter, the owner of the users may."""
        wanted = [(self.joined["pid"], abi.CLONE_NEWPID)] if "pid" in self.joined else []
        if self.user:
            wanted += self.entered()
        # All are opened first: in another mount namespace their paths are others. This process ends soon.
        opened = [(path, flag, _open(path)) for path, flag in wanted]
        users = _open(self.joined["user"]) if "user" in self.joined else None
        late = []
        for path, flag, fd in opened:
            try:
                _set(path, flag, fd)
            except PermissionError:
                if users is None:
                    raise
                late.append((path, flag, fd))
        if users is not None:
            _set(self.joined["user"], abi.CLONE_NEWUSER, users)
        for path, flag, fd in late:
            _set(path, flag, fd)

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
    # Who is not root may not enter even his own again, where they are the host's.
    certain = 0 if rootless.limited() else ALWAYS
    flags = certain
    for name in (name for name in KINDS if name != "pid" and not certain & KINDS[name][0]):
        if differs(pid, name):
            flags |= KINDS[name][0]
    return flags


def differs(pid: int, name: str) -> bool:
    """Say whether a process is in another namespace of a kind than this one."""
    file = KINDS[name][1]
    try:
        return os.stat(f"/proc/{pid}/ns/{file}").st_ino != os.stat(f"/proc/self/ns/{file}").st_ino
    except FileNotFoundError:
        # A kernel without it, or a process that is gone: entering the others will say so.
        return False


def _is_ours(path: str, file: str) -> bool:
    try:
        return os.path.samefile(path, f"/proc/self/ns/{file}")
    except OSError:
        return False  # entering it will say what is wrong


def enter(path: str, flag: int) -> None:
    """Enter the namespace at a path; OSError names it."""
    fd = _open(path)
    try:
        _set(path, flag, fd)
    finally:
        os.close(fd)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _set(path: str, flag: int, fd: int) -> None:
    try:
        linux.setns(fd, flag)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
