"""Time for real-time processes on cgroup v1: a new group has none, nor may have more than those above it. Used by v1.

Section 2 of the kernel's scheduler/sched-rt-group. dockerd gives the groups above what its user sets, by a flag without
which no container can have any; here they get what the containers in them have.
"""

from __future__ import annotations

import os

from pydock_runtime.cgroup import files

RUNTIME, PERIOD = "cpu.rt_runtime_us", "cpu.rt_period_us"


def lend(root: str, folder: str, runtime: int, period: int) -> None:
    """Let the groups between a folder and the root of its hierarchy have enough for it to have `runtime` of `period`.

    Both are in microseconds. OSError EINVAL when the host has less.
    """
    above = os.path.dirname(folder)
    if above == root:
        return
    whole = _number(above, PERIOD)
    needed = _part(runtime, period, whole)
    for entry in os.scandir(above):
        if entry.is_dir() and entry.path != folder:
            needed += _part(_number(entry.path, RUNTIME), _number(entry.path, PERIOD), whole)
    if 0 <= _number(above, RUNTIME) < needed:
        lend(root, above, needed, whole)
        files.write(above, RUNTIME, str(needed))


def _part(runtime: int, period: int, whole: int) -> int:
    """Return the same share of another period, rounded up."""
    return -(-runtime * whole // period)


def _number(folder: str, name: str) -> int:
    return int(files.read(folder, name))
