"""cgroup v1 and hybrid: a folder in every hierarchy, settings as files; cgroups(7), kernel's admin-guide/cgroup-v1.

Every hierarchy is joined, as runc does, so that the cgroup namespace looks the same everywhere from inside.
"""

from __future__ import annotations

import os
import signal
import time

from pydock_runtime.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pydock_runtime.cgroup.layout import Layout

UNLIMITED = "-1"
THAW_DEADLINE = 2.0

# Section and key of OCI resources -> controller, file
NUMBERS = (
    ("memory", "reservation", "memory", "memory.soft_limit_in_bytes"),
    ("memory", "swappiness", "memory", "memory.swappiness"),
    ("memory", "kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes"),
    ("cpu", "shares", "cpu", "cpu.shares"),
    ("cpu", "realtimePeriod", "cpu", "cpu.rt_period_us"),
    ("cpu", "realtimeRuntime", "cpu", "cpu.rt_runtime_us"),
    ("cpu", "cpus", "cpuset", "cpuset.cpus"),
    ("cpu", "mems", "cpuset", "cpuset.mems"),
    ("blockIO", "weight", "blkio", "blkio.bfq.weight"),
)
THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)


class Cgroup:
    """One path in all hierarchies of a host."""

    __slots__ = ("_by_controller", "_folders", "_layout", "path")

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._folders = {name: point + path for name, point in layout.hierarchies.items()}
        self._by_controller = {
            controller: folder for name, folder in self._folders.items() for controller in name.split(",")
        }

    def make(self) -> None:
        """Make the folders that are missing."""
        for name, folder in self._folders.items():
            try:
                os.mkdir(folder)
            except FileNotFoundError:
                self._make_parents(name, folder)
            except FileExistsError:
                continue

    def _make_parents(self, name: str, folder: str) -> None:
        """Make the folder with those above it; a cpuset needs CPUs and memory nodes, which children then copy."""
        point = self._layout.hierarchies[name]
        made = point
        for part in folder[len(point) :].strip("/").split("/"):
            above, made = made, f"{made}/{part}"
            try:
                os.mkdir(made)
            except FileExistsError:
                continue
            if "cpuset" in name.split(",") and made != folder:
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    files.write(made, setting, files.read(above, setting).strip())
                files.write(made, "cgroup.clone_children", "1")
        if "cpuset" in name.split(",") and not files.read(folder, "cpuset.cpus").strip():
            for setting in ("cpuset.cpus", "cpuset.mems"):
                files.write(folder, setting, files.read(os.path.dirname(folder), setting).strip())

    def add(self, pid: int) -> None:
        """Move a process into the cgroup."""
        for folder in self._folders.values():
            files.write(folder, "cgroup.procs", str(pid))

    def update(self, resources: dict[str, Any]) -> None:
        """Set limits; OSError names the file that refused."""
        for section, key, controller, name in NUMBERS:
            value = resources.get(section, {}).get(key)
            if value is not None and value != "":
                self._set(controller, name, str(value))
        memory = resources.get("memory") or {}
        self._memory(memory.get("limit"), memory.get("swap"))
        if "disableOOMKiller" in memory:
            self._set("memory", "memory.oom_control", "1" if memory["disableOOMKiller"] else "0")
        self._bandwidth(resources.get("cpu") or {})
        limit = (resources.get("pids") or {}).get("limit")
        if limit is not None:
            self._set("pids", "pids.max", str(limit) if limit > 0 else "max")
        for key, name in THROTTLES:
            for entry in (resources.get("blockIO") or {}).get(key) or ():
                self._set("blkio", name, f"{entry['major']}:{entry['minor']} {entry['rate']}")
        self._devices(resources.get("devices") or [])

    def _set(self, controller: str, name: str, value: str) -> None:
        folder = self._by_controller.get(controller)
        if folder is None:
            raise OSError(2, f"cgroup controller {controller} is not mounted", name)
        files.write(folder, name, value)

    def _memory(self, limit: int | None, swap: int | None) -> None:
        """Set memory and memory+swap: the smaller must never pass the larger, so the order depends on the present one."""
        if limit is None:
            return
        steps = [("memory.limit_in_bytes", str(limit))]
        if swap is not None and os.path.exists(self._by_controller["memory"] + "/memory.memsw.limit_in_bytes"):
            steps.append(("memory.memsw.limit_in_bytes", str(swap)))
            present = int(files.read(self._by_controller["memory"], "memory.memsw.limit_in_bytes"))
            if swap == -1 or present < limit:
                steps.reverse()
        for name, value in steps:
            self._set("memory", name, value)

    def _bandwidth(self, cpu: dict[str, Any]) -> None:
        period, quota = cpu.get("period"), cpu.get("quota")
        if quota:
            # A shorter period than the old quota allows would be refused with the old quota in place.
            self._set("cpu", "cpu.cfs_quota_us", UNLIMITED)
        if period:
            self._set("cpu", "cpu.cfs_period_us", str(period))
        if quota:
            self._set("cpu", "cpu.cfs_quota_us", str(quota))

    def _devices(self, rules: list[dict[str, Any]]) -> None:
        for rule in rules:
            name = "devices.allow" if rule["allow"] else "devices.deny"
            kind = rule.get("type") or "a"
            if kind == "a":
                self._set("devices", name, "a")
                continue
            major, minor = (rule.get(key) for key in ("major", "minor"))
            numbers = f"{'*' if major in (None, -1) else major}:{'*' if minor in (None, -1) else minor}"
            self._set("devices", name, f"{kind} {numbers} {rule.get('access') or 'rwm'}")

    def freeze(self) -> None:
        """Stop every process in it."""
        self._state("FROZEN")

    def thaw(self) -> None:
        """Let the processes go on."""
        self._state("THAWED")

    def _state(self, word: str) -> None:
        """Write the state until it holds: freezing may have to be asked for again while processes fork."""
        folder = self._by_controller["freezer"]
        deadline = time.monotonic() + THAW_DEADLINE
        files.write(folder, "freezer.state", word)
        while files.read(folder, "freezer.state").strip() != word:
            if time.monotonic() > deadline:
                files.write(folder, "freezer.state", "THAWED")
                raise OSError(110, f"cgroup did not become {word.lower()}", self.path)
            files.write(folder, "freezer.state", word)
            time.sleep(0.001)

    def kill(self) -> None:
        """Send SIGKILL to every process in it; a frozen one dies when it is thawed."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def pids(self) -> list[int]:
        """Return the processes in it and below."""
        folder = self._by_controller.get("pids") or next(iter(self._folders.values()))
        return files.pids(folder)

    def remove(self) -> None:
        """Remove the folders; OSError EBUSY while a process is left."""
        for folder in self._folders.values():
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                # Cgroups below it, made from inside.
                files.remove_tree(folder)

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed for want of memory."""
        return files.keyed(files.read(self._by_controller["memory"], "memory.oom_control")).get("oom_kill", 0)

    def views(self) -> dict[str, str]:
        """Return what is shown inside at /sys/fs/cgroup: host folder by name."""
        return dict(self._folders)

    def folders(self) -> Iterator[tuple[str, str]]:
        """Yield (controllers, folder) of each hierarchy."""
        yield from self._folders.items()

    def folder(self, controller: str) -> str:
        """Return the folder of a controller; KeyError when it is not mounted."""
        return self._by_controller[controller]
