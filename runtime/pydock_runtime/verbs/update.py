"""`update`: new limits for a container that lives."""

from __future__ import annotations

import json
import sys

from pydock_runtime import cgroup, container, resctrl, shapes, state
from pydock_runtime.arguments import NUMBER, SIZE, TEXT, Call, Flag
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
    ("cpu-rt-period", NUMBER, ("cpu", "realtimePeriod"), "period of its real-time share, in microseconds"),
    ("cpu-rt-runtime", NUMBER, ("cpu", "realtimeRuntime"), "real-time share of a period, in microseconds"),
    ("cpu-share", NUMBER, ("cpu", "shares"), "relative weight of its CPU time"),
    ("cpuset-cpus", TEXT, ("cpu", "cpus"), "CPUs it may run on: 0-2,4"),
    ("cpuset-mems", TEXT, ("cpu", "mems"), "memory nodes it may use"),
    ("memory", SIZE, ("memory", "limit"), "memory limit in bytes"),
    ("memory-reservation", SIZE, ("memory", "reservation"), "soft memory limit in bytes"),
    ("memory-swap", SIZE, ("memory", "swap"), "limit of memory and swap together, in bytes"),
    ("pids-limit", NUMBER, ("pids", "limit"), "number of processes"),
)
ZEROS = ("burst", "idle")  # where 0 is a value, and not "as it is"
IGNORED = ("kernel-memory", "kernel-memory-tcp")
SCHEMATA = (("l3-cache-schema", "l3CacheSchema"), ("mem-bw-schema", "memBwSchema"))
FLAGS = (
    Flag("resources", TEXT, "file with the `linux.resources` of a spec as JSON, - for stdin", "r"),
    *(Flag(name, kind, help) for name, kind, _, help in LIMITS),
    *(Flag(name, TEXT, f"accepted for callers of runc; {container.NO_SUCH_LIMIT}") for name in IGNORED),
    Flag("l3-cache-schema", TEXT, "share of the last cache, as L3:0=f"),
    Flag("mem-bw-schema", TEXT, "share of memory bandwidth, as MB:0=50"),
)


def run(call: Call) -> int:
    """Set the limits; OSError of the kernel for one that it refuses."""
    record = state.load(call.root, call.id())
    container.require(record, state.CREATED, state.RUNNING, state.PAUSED, otherwise=container.NOT_RUNNING)
    resources = _read(call.text("resources")) if call.has("resources") else {}
    for name, _, (section, key), _ in LIMITS:
        if name in call.values:
            resources.setdefault(section, {})[key] = call.values[name]
        part = resources.get(section, {})
        if key not in ZEROS and not part.get(key, True):
            del part[key]  # a limit that is to stay as it is
    for name in IGNORED:
        if call.has(name):
            container.warn(f"--{name} is ignored: {container.NO_SUCH_LIMIT}")
    rdt = {key: call.text(name) for name, key in SCHEMATA if call.has(name)}
    if rdt:
        resctrl.update(record.id, record.spec.get("linux", {}).get("intelRdt"), rdt)
    if resources:
        cgroup.limit(container.group(record), resources)
    if record.unit and resources:
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
    shapes.check(value, shapes.RESOURCES, "resources")
    return {key: part for key, part in value.items() if part is not None}
