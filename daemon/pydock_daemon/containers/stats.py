"""`GET /containers/{id}/stats`: what a container uses, from its cgroup and its network namespace. Used by `api.stats`.

Two samples make a share of the CPU. Docker takes them a second apart; here a single answer (`stream=false`) comes after
PAUSE, because time is read by the nanosecond and not by the tick. Reads block for some 0.2 ms: callers use a thread.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_runtime import cgroup
from pydock_runtime.cgroup import layout
from pydock_shared.times import rfc3339

from .model import Container

PAUSE = 0.1
NEVER = "0001-01-01T00:00:00Z"
IO_TABLES = ("queue", "service_time", "wait_time", "merged", "time")
COUNTERS = ("bytes", "packets", "errors", "dropped")


@dataclass(frozen=True)
class Sample:
    """What was read at one moment."""

    at: int
    """Nanoseconds since the epoch."""
    system: int
    """Nanoseconds that all CPUs together could have used since boot."""
    cpus: int
    usage: dict[str, Any]
    networks: dict[str, dict[str, int]] = field(default_factory=dict)


def sample(path: str, pid: int) -> Sample | None:
    """Read the cgroup at a path and the interfaces that a process sees; None when the container has ended."""
    try:
        usage = cgroup.open_existing(path).stats()
        networks = _networks(Path(f"/proc/{pid}/net/dev").read_text())
    except (OSError, ValueError, IndexError):
        return None
    cpus = os.sysconf("SC_NPROCESSORS_ONLN")
    return Sample(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) * cpus, cpus, usage, networks)


def _networks(text: str) -> dict[str, dict[str, int]]:
    """Parse /proc/net/dev; proc_pid_net(5). The loopback is not told of, as in Docker."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if name.strip() != "lo":
            received = {f"rx_{counter}": numbers[place] for place, counter in enumerate(COUNTERS)}
            found[name.strip()] = received | {f"tx_{counter}": numbers[8 + p] for p, counter in enumerate(COUNTERS)}
    return found


def record(container: Container, now: Sample | None, before: Sample | None) -> dict[str, Any]:
    """Return an answer of the API; without a sample that of a container that does not run."""
    shown = {
        "read": rfc3339(now.at) if now else NEVER,
        "preread": rfc3339(before.at) if before else NEVER,
        "pids_stats": _pids(now),
        "blkio_stats": _block(now),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before),
        "memory_stats": _memory(now),
        "name": f"/{container.name}",
        "id": container.id,
        "os_type": "linux",
    }
    own_network = now and not (container.host.network_mode or "").startswith("host")
    return shown | ({"networks": now.networks} if now and own_network and now.networks else {})


def _pids(sample: Sample | None) -> dict[str, int]:
    pids = sample.usage.get("pids", {}) if sample else {}
    return {name: pids[name] for name in ("current", "limit") if pids.get(name)}


def _block(sample: Sample | None) -> dict[str, Any]:
    """Return what was read and written by device; the other tables are of a scheduler that is gone, and empty."""
    tables: dict[str, Any] = dict.fromkeys(("io_service_bytes_recursive", "io_serviced_recursive"))
    tables |= {f"io_{name}_recursive": None for name in IO_TABLES} | {"sectors_recursive": None}
    if sample:
        found = sample.usage.get("blkio", {})
        tables = {key: [] for key in tables}
        tables["io_service_bytes_recursive"] = _rows(found.get("ioServiceBytesRecursive", []))
        tables["io_serviced_recursive"] = _rows(found.get("ioServicedRecursive", []))
    return tables


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a table as dockerd has them: of cgroup v2 in small letters."""
    if layout.of_host().hierarchies:
        return rows
    return [row | {"op": row["op"].lower()} for row in rows]


def _cpu(sample: Sample | None) -> dict[str, Any]:
    cpu = sample.usage.get("cpu", {}) if sample else {}
    usage, throttling = cpu.get("usage", {}), cpu.get("throttling", {})
    used = {
        "total_usage": usage.get("total", 0),
        "usage_in_kernelmode": usage.get("kernel", 0),
        "usage_in_usermode": usage.get("user", 0),
    }
    if usage.get("percpu"):
        used["percpu_usage"] = usage["percpu"]
    throttled = {
        "periods": throttling.get("periods", 0),
        "throttled_periods": throttling.get("throttledPeriods", 0),
        "throttled_time": throttling.get("throttledTime", 0),
    }
    shown: dict[str, Any] = {"cpu_usage": used, "throttling_data": throttled}
    return shown | ({"system_cpu_usage": sample.system, "online_cpus": sample.cpus} if sample else {})


def _memory(sample: Sample | None) -> dict[str, Any]:
    memory = sample.usage.get("memory") if sample else None
    if not memory:
        return {}
    usage = memory["usage"]
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = usage["limit"] or whole
    shown = {"usage": usage["usage"], "stats": memory["raw"], "limit": min(limit, whole)}
    if "rss" in memory["raw"]:  # version 1; of version 2 Docker tells neither
        shown["max_usage"] = usage["max"]
    return shown | ({"failcnt": usage["failcnt"]} if usage["failcnt"] else {})
