"""What a cgroup uses, read from its files into the form of runc's `events --stats`. Used by v1 and v2.

Times in nanoseconds, sizes in bytes. A controller that the host does not have leaves its part out.
"""

from __future__ import annotations

import os

from pydock_runtime.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HUGE = 1 << 62
"""From here on a limit of v1 means none."""
TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def of_v1(folders: dict[str, str]) -> dict[str, Any]:
    """Return the usage below the folders of the controllers of cgroup v1."""
    parts: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
        "cpu": ("cpuacct", lambda folder: _cpu_v1(folder, folders.get("cpu", folder))),
        "memory": ("memory", _memory_v1),
        "pids": ("pids", _pids),
        "blkio": ("blkio", _blkio_v1),
    }
    return {name: part(folders[controller]) for name, (controller, part) in parts.items() if controller in folders}


def _cpu_v1(cpuacct: str, cpu: str) -> dict[str, Any]:
    shares = files.keyed(files.read(cpuacct, "cpuacct.stat"))
    throttled = files.keyed(files.read(cpu, "cpu.stat"))
    return {
        "usage": {
            "total": time_v1(cpuacct),
            "percpu": [int(word) for word in files.read(cpuacct, "cpuacct.usage_percpu").split()],
            "kernel": shares.get("system", 0) * TICK,
            "user": shares.get("user", 0) * TICK,
        },
        "throttling": {
            "periods": throttled.get("nr_periods", 0),
            "throttledPeriods": throttled.get("nr_throttled", 0),
            "throttledTime": throttled.get("throttled_time", 0),
        },
    }


def time_v1(cpuacct: str) -> int:
    """Return the time of processors that was used."""
    return _number(cpuacct, "cpuacct.usage")


def _memory_v1(folder: str) -> dict[str, Any]:
    raw = files.keyed(files.read(folder, "memory.stat"))
    usage: dict[str, Any] = {
        "usage": {
            "usage": _number(folder, "memory.usage_in_bytes"),
            "max": _number(folder, "memory.max_usage_in_bytes"),
            "failcnt": _number(folder, "memory.failcnt"),
            "limit": _number(folder, "memory.limit_in_bytes"),
        },
        "cache": raw.get("total_cache", 0),
        "raw": raw,
    }
    return usage


OF_IO_STAT = (
    ("rbytes", "ioServiceBytesRecursive", "Read"),
    ("wbytes", "ioServiceBytesRecursive", "Write"),
    ("rios", "ioServicedRecursive", "Read"),
    ("wios", "ioServicedRecursive", "Write"),
)


def _blkio_v1(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table, name in (("ioServiceBytesRecursive", "io_service_bytes"), ("ioServicedRecursive", "io_serviced")):
        lines = files.read(folder, f"blkio.throttle.{name}_recursive").splitlines()
        rows = [words for line in lines if len(words := line.split()) == 3]
        found[table] = [_blkio(device, operation, int(value)) for device, operation, value in rows]
    return found


def of_v2(folder: str) -> dict[str, Any]:
    """Return the usage of a folder of cgroup v2."""
    parts: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
        "cpu": ("cpu.stat", _cpu_v2),
        "memory": ("memory.current", _memory_v2),
        "pids": ("pids.current", _pids),
        "blkio": ("io.stat", _blkio_v2),
    }
    return {name: part(folder) for name, (file, part) in parts.items() if os.path.exists(f"{folder}/{file}")}


def _cpu_v2(folder: str) -> dict[str, Any]:
    stat = files.keyed(files.read(folder, "cpu.stat"))
    return {
        "usage": {
            "total": stat.get("usage_usec", 0) * 1000,
            "percpu": [],
            "kernel": stat.get("system_usec", 0) * 1000,
            "user": stat.get("user_usec", 0) * 1000,
        },
        "throttling": {
            "periods": stat.get("nr_periods", 0),
            "throttledPeriods": stat.get("nr_throttled", 0),
            "throttledTime": stat.get("throttled_usec", 0) * 1000,
        },
    }


def time_v2(folder: str) -> int:
    """Return the time of processors that was used."""
    return files.keyed(files.read(folder, "cpu.stat"))["usage_usec"] * 1000


def _memory_v2(folder: str) -> dict[str, Any]:
    raw = files.keyed(files.read(folder, "memory.stat"))
    peak = f"{folder}/memory.peak"
    usage = _number(folder, "memory.current")
    return {
        "usage": {
            "usage": usage,
            # Since Linux 5.19.
            "max": _number(folder, "memory.peak") if os.path.exists(peak) else usage,
            "failcnt": files.keyed(files.read(folder, "memory.events")).get("max", 0),
            "limit": _number(folder, "memory.max"),
        },
        "cache": raw.get("file", 0),
        "raw": raw,
    }


def _blkio_v2(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {"ioServiceBytesRecursive": [], "ioServicedRecursive": []}
    for line in files.read(folder, "io.stat").splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        for key, table, operation in OF_IO_STAT:
            if key in values:
                found[table].append(_blkio(device, operation, int(values[key])))
    return found


def _blkio(device: str, operation: str, value: int) -> dict[str, Any]:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": operation, "value": value}


def _pids(folder: str) -> dict[str, Any]:
    return {"current": _number(folder, "pids.current"), "limit": _number(folder, "pids.max")}


def _number(folder: str, name: str) -> int:
    """Return a number; 0 for `max` and for what v1 writes when there is no limit."""
    text = files.read(folder, name).strip()
    value = 0 if text == "max" else int(text)
    return 0 if value >= HUGE else value
