"""User namespaces: the maps of a spec, written for a process or for a namespace without one. Used by launch.

user_namespaces(7). A map is a list of {"containerID", "hostID", "size"}, as in the runtime-spec.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat

from pydock_runtime import abi, linux, rootless
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Map = list[dict[str, Any]]

MOST = 340  # ranges that the kernel takes (since 4.15)
HIGHEST = (1 << 32) - 1
SHOWN = 2048  # bytes of what a program says that goes into an error


def check(uids: Map | None, gids: Map | None, where: str) -> None:
    """Raise RuntimeFailure for maps that are not there or cannot be."""
    for name, ranges in (("uidMappings", uids), ("gidMappings", gids)):
        if not ranges:
            raise RuntimeFailure(f"{where} has no {name}", INVALID)
        if len(ranges) > MOST:
            raise RuntimeFailure(f"{where}: more than {MOST} {name}", INVALID)
        for entry in ranges:
            inside, outside, size = (entry.get(key, 0) for key in ("containerID", "hostID", "size"))
            if size <= 0 or inside < 0 or outside < 0 or max(inside, outside) + size - 1 >= HIGHEST:
                raise RuntimeFailure(f"{where}: {name} has a range that cannot be: {entry}", INVALID)


def write(pid: int, uids: Map, gids: Map) -> None:
    """Give the new user namespace of a process its maps; once, in one write each. RuntimeFailure says what is wrong."""
    maps = (("gid_map", "newgidmap", gids, os.getegid()), ("uid_map", "newuidmap", uids, os.geteuid()))
    for name, tool, ranges, own in maps:
        if rootless.unprivileged() and [(entry["hostID"], entry["size"]) for entry in ranges] != [(own, 1)]:
            _call(tool, pid, ranges)
            continue
        if rootless.unprivileged() and name == "gid_map":
            # Without it the kernel lets nobody map even the group he is in; user_namespaces(7).
            _write(pid, "setgroups", "deny")
        lines = "".join(f"{entry['containerID']} {entry['hostID']} {entry['size']}\n" for entry in ranges)
        _write(pid, name, lines)


def _write(pid: int, name: str, text: str) -> None:
    fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    except OSError as error:
        raise RuntimeFailure(f"{name}: {reason(error)}", INVALID) from error
    finally:
        os.close(fd)


def _call(tool: str, pid: int, ranges: Map) -> None:
    """Let a program of the host write a map: it knows which ids a user may map, subuid(5)."""
    numbers = [str(entry[key]) for entry in ranges for key in ("containerID", "hostID", "size")]
    output = os.memfd_create(tool, os.MFD_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)]
        child = os.posix_spawnp(tool, [tool, str(pid), *numbers], os.environ, file_actions=actions)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = os.pread(output, SHOWN, 0).decode("utf-8", "replace").strip()
    except FileNotFoundError as error:
        raise RuntimeFailure(f"rootless containers with such maps need {tool}, which is not installed") from error
    finally:
        os.close(output)
    if code != 0:
        raise RuntimeFailure(f"{said or tool} (exit status {code})", INVALID)


def namespace(uids: Map, gids: Map) -> int:
    """Return a descriptor of a new user namespace that nobody is in: what an idmapped mount is made with."""
    pid, pidfd = linux.clone3(abi.CLONE_NEWUSER, exit_signal=0)
    if pid == 0:
        while True:
            signal.pause()
    try:
        write(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | abi.WALL)
        os.close(pidfd)


def root_of(pid: int) -> tuple[int, int]:
    """Return the user and the group of the host that are 0 in the user namespace of a process; RuntimeFailure: none."""
    return _outside(pid, "uid_map"), _outside(pid, "gid_map")


def _outside(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/{name}") as file:
        for line in file:
            inside, outside, _ = map(int, line.split())
            if inside == 0:
                return outside
    raise RuntimeFailure(f"{name}: 0 is nobody in the user namespace", INVALID)


def give(stdio: tuple[int, int, int], owner: tuple[int, int]) -> None:
    """Let pipes belong to the root of a user namespace: what is its own, /dev/stdout say, it may open, and pass on."""
    for fd in set(stdio):
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            # What somebody else has made works as it is.
            with contextlib.suppress(PermissionError):
                os.fchown(fd, *owner)


def become_root(*, drop_groups: bool) -> None:
    """Be the root of the user namespace this process has come into; its maker may not have been allowed groups."""
    if drop_groups:
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
