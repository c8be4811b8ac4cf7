"""`update`: new limits for a container that lives."""

from __future__ import annotations

import json
import sys

from pydock_runtime import cgroup, container, state
from pydock_runtime.arguments import NUMBER, TEXT, Call, Flag
from pydock_runtime.cgroup import systemd
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = "ID"
SEALED = False
# Flag, kind, where the value goes in the resources of the spec, what it is
LIMITS = (
    ("blkio-weight", NUMBER, ("blockIO", "weight"), "weight of its disk access, 10 to 1000"),
    ("cpu-burst", NUMBER, ("cpu", "burst"), "CPU time that may be saved up, in microseconds"),
    ("cpu-idle", NUMBER, ("cpu", "idle"), "1: run only when nothing else does"),
    ("cpu-period", NUMBER, ("cpu", "period"), "period of the CPU quota, in microseconds"),
    ("cpu-quota", NUMBER, ("cpu", "quota"), "CPU time in a period, in microseconds"),
    ("cpu-share", NUMBER, ("cpu", "shares"), "relative weight of its CPU time"),
    ("cpuset-cpus", TEXT, ("cpu", "cpus"), "CPUs it may run on: 0-2,4"),
    ("cpuset-mems", TEXT, ("cpu", "mems"), "memory nodes it may use"),
    ("memory", NUMBER, ("memory", "limit"), "memory limit in bytes"),
    ("memory-reservation", NUMBER, ("memory", "reservation"), "soft memory limit in bytes"),
    ("memory-swap", NUMBER, ("memory", "swap"), "limit of memory and swap together, in bytes"),
    ("pids-limit", NUMBER, ("pids", "limit"), "number of processes"),
)
FLAGS = (
    Flag("resources", TEXT, "file with the `linux.resources` of a spec as JSON, - for stdin", "r"),
    *(Flag(name, kind, help) for name, kind, _, help in LIMITS),
)


def run(call: Call) -> int:
    """Set the limits; OSError of the kernel for one that it refuses."""
    record = state.load(call.root, call.id())
    container.require(record, state.CREATED, state.RUNNING, state.PAUSED)
    resources = _read(call.text("resources")) if call.has("resources") else {}
    for name, _, (section, key), _ in LIMITS:
        if name in call.values:
            resources.setdefault(section, {})[key] = call.values[name]
    if not resources:
        raise RuntimeFailure("no limit is given", INVALID)
    cgroup.limit(container.group(record), resources)
    if record.unit:
        systemd.update(record.unit, resources)
    return 0


def _read(path: str) -> dict[str, Any]:
    try:
        if path == "-":
            value = json.load(sys.stdin)
        else:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)
    except ValueError as error:
        raise RuntimeFailure(f"{path}: {error}", INVALID) from error
    if not isinstance(value, dict):
        raise RuntimeFailure(f"{path}: not an object", INVALID)
    return {key: part for key, part in value.items() if part is not None}
