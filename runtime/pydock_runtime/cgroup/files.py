"""Reading and writing the small files of a cgroup. Used by v1 and v2."""

from __future__ import annotations

import os
import signal

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAGE = 1 << 16
RDMA = (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object"))


def write(folder: str, name: str, value: str) -> None:
    """Write a setting; OSError names the file."""
    write_lines(folder, name, [value])


def write_lines(folder: str, name: str, values: list[str]) -> None:
    """Write several settings to one file, which takes one at a time; OSError names the file."""
    path = f"{folder}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for value in values:
            os.write(fd, value.encode("ascii"))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (writing {value!r})", path) from error
    finally:
        os.close(fd)


def read(folder: str, name: str) -> str:
    """Return the text of a file; a third of what `open` costs, which looks first what it has before it."""
    fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, PAGE), b"")).decode()
    finally:
        os.close(fd)


def rdma(limits: dict[str, Any]) -> list[str]:
    """Return the lines of rdma.max for the `rdma` of OCI resources; both versions of cgroups write it so."""
    lines = []
    for device, entry in limits.items():
        words = [f"{word}={entry[key]}" for key, word in RDMA if entry.get(key) is not None]
        lines.append(" ".join([device, *words]))
    return lines


def check_usage(folder: str, name: str, limit: int) -> None:
    """Raise RuntimeFailure when more is in use than a limit would allow, so that nobody is killed for it."""
    used = int(read(folder, name))
    if 0 < limit < used:
        raise RuntimeFailure(f"unable to set memory limit to {limit} (current usage: {used})", INVALID)


def keyed(text: str) -> dict[str, int]:
    """Return a flat-keyed file (`name value` on each line) as numbers."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def pids(folder: str) -> list[int]:
    """Return the processes of a cgroup and those below it."""
    found: list[int] = []
    for directory, _, _ in os.walk(folder):
        try:
            found += [int(line) for line in read(directory, "cgroup.procs").split()]
        except OSError:
            # It went away between the listing and the reading.
            continue
    return found


def entrances(folders: list[str], name: str) -> list[int]:
    """Return an open file of folders: a process that writes "0" there joins, wherever its root is by then."""
    opened: list[int] = []
    try:
        for folder in folders:
            opened.append(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
    return opened


def kill(folder: str) -> None:
    """Send SIGKILL to the processes of a cgroup and those below it, until none is found that has not got it."""
    done: set[int] = set()
    while found := set(pids(folder)) - done:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        done |= found


def remove_tree(folder: str) -> None:
    """Remove a cgroup and those below it; a missing one is fine, one with processes is OSError EBUSY."""
    for directory, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
