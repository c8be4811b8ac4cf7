"""All that runc's `events --stats` tells of a cgroup, of which `stats` is what is asked for often. Used by v1 and v2.

The names are those of runc's types/events.go (1.1; `psi` and the peak of memory are of 1.2). As there, numbers that are
zero are left out but for those in KEPT, and no limit is the kernel's own large number on v1 and UNLIMITED on v2.
"""

from __future__ import annotations

import os

from pydock_runtime.cgroup import files, stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNLIMITED = (1 << 64) - 1
CPUSET = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)
KEPT = {"kernel", "user", "limit", "failcnt", *CPUSET}
WHOLE = ("raw", "psi")
MEMORY = (("usage", ""), ("swap", "memsw."), ("kernel", "kmem."), ("kernelTCP", "kmem.tcp."))
ENTRY = (
    ("usage", "usage_in_bytes"),
    ("max", "max_usage_in_bytes"),
    ("failcnt", "failcnt"),
    ("limit", "limit_in_bytes"),
)
NOTHING = {"limit": 0, "failcnt": 0}
# Where the schedulers and the throttling count, in the order in which runc asks them: the first that has counted
# something is told.
BLOCK = (
    ("ioServicedRecursive", "io_serviced"),
    ("ioServiceBytesRecursive", "io_service_bytes"),
    ("ioQueueRecursive", "io_queued"),
    ("ioServiceTimeRecursive", "io_service_time"),
    ("ioWaitTimeRecursive", "io_wait_time"),
    ("ioMergedRecursive", "io_merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
)
COUNTED_BY = (("bfq.", "_recursive"), ("", "_recursive"), ("throttle.", "_recursive"), ("throttle.", ""))
PRESSURE = (("cpu", "cpu"), ("memory", "memory"), ("blkio", "io"))


def of_v1(folders: dict[str, str]) -> dict[str, Any]:
    """Return what is told of the folders of the controllers of cgroup v1."""
    found = _empty() | stats.of_v1(folders)
    if "cpuacct" in folders:
        found["cpu"]["usage"] |= _modes(folders["cpuacct"])
    if "cpuset" in folders:
        found["cpuset"] = _cpuset(folders["cpuset"])
    if "memory" in folders:
        found["memory"] |= {part: _memory_v1(folders["memory"], prefix) for part, prefix in MEMORY}
    if "blkio" in folders:
        found["blkio"] = _block(folders["blkio"])
    if "hugetlb" in folders:
        found["hugetlb"] = _huge(folders["hugetlb"], "usage_in_bytes", "max_usage_in_bytes", "failcnt")
    return dict(_lean(found))


def of_v2(folder: str) -> dict[str, Any]:
    """Return what is told of a folder of cgroup v2."""
    found = _empty() | stats.of_v2(folder)
    found["hugetlb"] = _huge(folder, "current", "max", "")
    if "raw" in found["memory"]:
        found["memory"] = _empty()["memory"] | found["memory"] | _memory_v2(folder, found["memory"]["usage"])
    for part, name in PRESSURE:
        pressure = _pressure(folder, f"{name}.pressure")
        if pressure:
            found[part]["psi"] = pressure
    return dict(_lean(found))


def _empty() -> dict[str, Any]:
    memory = {part: NOTHING for part, _ in MEMORY}
    cpu: dict[str, Any] = {"usage": {"kernel": 0, "user": 0}, "throttling": {}}
    return {"cpu": cpu, "cpuset": dict.fromkeys(CPUSET, 0), "memory": memory, "pids": {}, "blkio": {}, "hugetlb": {}}


def _lean(value: Any) -> Any:
    if isinstance(value, list):
        return [_lean(part) for part in value]
    if not isinstance(value, dict):
        return value
    kept = () if "current" in value else KEPT  # that there is no limit of processes is not told at all
    lean = {name: part if name in WHOLE else _lean(part) for name, part in value.items()}
    return {name: part for name, part in lean.items() if name in kept or isinstance(part, dict) or part}


def _modes(folder: str) -> dict[str, list[int]]:
    lines = _text(folder, "cpuacct.usage_all").splitlines()[1:]
    rows = [[int(word) for word in line.split()] for line in lines]
    return {"percpu_kernel": [row[2] for row in rows], "percpu_user": [row[1] for row in rows]}


def _cpuset(folder: str) -> dict[str, Any]:
    numbers = {name: int(_text(folder, f"cpuset.{name}") or 0) for name in CPUSET}
    return {name: _listed(_text(folder, f"cpuset.{name}")) for name in ("cpus", "mems")} | numbers


def _listed(text: str) -> list[int]:
    """Return the numbers of a list such as 0-2,4."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _memory_v1(folder: str, prefix: str) -> dict[str, int]:
    """Return one of the counters of memory; a kernel need not have those of swap and of the kernel's own."""
    numbers = {name: _text(folder, f"memory.{prefix}{file}") for name, file in ENTRY}
    return {name: int(number or 0) for name, number in numbers.items()}


def _memory_v2(folder: str, usage: dict[str, int]) -> dict[str, Any]:
    """Return memory, and memory with swap, which cgroup v1 counts together and v2 does not."""
    limit, current = _number(folder, "memory.max"), _text(folder, "memory.swap.current")
    if not current:
        return {"usage": usage | {"limit": limit}, "swap": NOTHING | {"usage": usage["usage"], "limit": limit}}
    most = _number(folder, "memory.swap.max")
    both = UNLIMITED if UNLIMITED in (most, limit) else most + limit
    swap = NOTHING | {"usage": int(current) + usage["usage"], "limit": both}
    return {"usage": usage | {"limit": limit}, "swap": swap}


def _block(folder: str) -> dict[str, Any]:
    for prefix, suffix in COUNTED_BY:
        found = {table: _rows(_text(folder, f"blkio.{prefix}{file}{suffix}")) for table, file in BLOCK}
        if found["ioServicedRecursive"]:
            return found
    return {}


def _rows(text: str) -> list[dict[str, Any]]:
    """Return the lines of a table, `MAJOR:MINOR [OPERATION] NUMBER`, without that of the sum."""
    rows = []
    for line in text.splitlines():
        device, *operation, value = line.split()
        if ":" in device:
            major, minor = device.split(":")
            rows.append({"major": int(major), "minor": int(minor), "op": "".join(operation), "value": int(value)})
    return rows


def _huge(folder: str, usage: str, most: str, refused: str) -> dict[str, Any]:
    """Return what is used of huge pages, by their size; v2 has the refusals among its events."""
    found = {}
    for name in sorted(os.listdir(folder)):
        words = name.split(".")
        if words[0] == "hugetlb" and ".".join(words[2:]) == usage:
            page = f"hugetlb.{words[1]}"
            events = files.keyed(_text(folder, f"{page}.events"))
            failures = int(_text(folder, f"{page}.{refused}") or 0) if refused else events.get("max", 0)
            peak = int(_text(folder, f"{page}.{most}") or 0) if refused else 0
            found[words[1]] = {"usage": int(_text(folder, name)), "max": peak, "failcnt": failures}
    return found


def _pressure(folder: str, name: str) -> dict[str, Any]:
    """Return how long somebody, and everybody, had to wait; nothing where the kernel does not count it."""
    found: dict[str, Any] = {}
    for line in _text(folder, name).splitlines():
        who, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        found[who] = {word: int(text) if word == "total" else float(text) for word, text in values.items()}
    return found


def _number(folder: str, name: str) -> int:
    text = _text(folder, name).strip()
    return UNLIMITED if text == "max" else int(text)


def _text(folder: str, name: str) -> str:
    """Return the text of a file, an empty one where there is none, or where it cannot be read, as with psi=0."""
    try:
        return files.read(folder, name)
    except OSError:
        return ""
