"""cgroup v2: one folder; settings of the spec translated as runc does. Kernel's admin-guide/cgroup-v2.

The spec speaks v1: shares become a weight, swap is the part above memory, devices become a BPF program.
"""

from __future__ import annotations

import contextlib
import errno
import os
from select import EPOLLPRI

from pydock_runtime.cgroup import details, devices_bpf, files, freezing, stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CPU_NUMBERS = (("idle", "cpu.idle"), ("burst", "cpu.max.burst"))
THROTTLES = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)


class Cgroup:
    """One folder of the unified hierarchy."""

    __slots__ = ("_folder", "_point", "path")

    def __init__(self, path: str, point: str) -> None:
        self.path = path
        self._point = point
        self._folder = point + path

    def make(self) -> None:
        """Make the folder and those above it, each passing on every controller it has."""
        made = self._point
        for part in self.path.strip("/").split("/"):
            self._pass_on(made)
            made = f"{made}/{part}"
            try:
                os.mkdir(made)
            except FileExistsError:
                continue

    @staticmethod
    def _pass_on(folder: str) -> None:
        have = set(files.read(folder, "cgroup.controllers").split())
        missing = [f"+{name}" for name in sorted(have - set(files.read(folder, "cgroup.subtree_control").split()))]
        try:
            if missing:
                files.write(folder, "cgroup.subtree_control", " ".join(missing))
        except OSError as error:
            if error.errno == errno.EBUSY:
                # It has processes of its own, and with some controllers passed on its children could have none.
                return
            for word in missing:
                # Real-time processes keep `cpu` from being passed on, say; a limit that needs it fails by name.
                with contextlib.suppress(OSError):
                    files.write(folder, "cgroup.subtree_control", word)

    def add(self, pid: int) -> None:
        """Move another process into the cgroup."""
        files.write(self._folder, "cgroup.procs", str(pid))

    def entrances(self, beside: int = 0) -> list[int]:
        """Return descriptors that let a process in which can no longer see the host's files (see `files.entrances`).

        A container that passes controllers on (a systemd or an engine inside) may have no process in its top group any
        more: then the way leads to where process `beside` is, its first one.
        """
        folder = self._folder
        if beside and files.read(folder, "cgroup.subtree_control").strip():
            place = files.read(f"/proc/{beside}", "cgroup").strip().removeprefix("0::")
            if place.startswith(f"{self.path}/"):
                folder = self._point + place
        return files.entrances([folder], "cgroup.procs")

    def update(self, resources: dict[str, Any]) -> None:
        """Set limits; OSError names the file that refused."""
        memory = resources.get("memory") or {}
        if memory.get("checkBeforeUpdate") and memory.get("limit"):
            files.check_usage(self._folder, "memory.current", memory["limit"])
        for name, value in settings(resources, bfq=self._has("io.bfq.weight")):
            # A kernel that does not count swap does not limit it.
            if (name, value) != ("memory.swap.max", "max") or self._has(name):
                self._set(name, value)
        if resources.get("devices"):
            devices_bpf.attach(self._folder, resources["devices"])

    def _set(self, name: str, value: str) -> None:
        try:
            files.write(self._folder, name, value)
        except FileNotFoundError as error:
            what = "not passed on by the cgroup above, which may have processes of its own, or not in this kernel"
            raise FileNotFoundError(error.errno, what, error.filename) from error

    def _has(self, name: str) -> bool:
        return os.path.exists(f"{self._folder}/{name}")

    def freeze(self) -> None:
        """Stop every process in it."""
        freezing.wait(self, frozen=True)

    def thaw(self) -> None:
        """Let the processes go on."""
        freezing.wait(self, frozen=False)

    def ask_frozen(self, *, frozen: bool) -> bool:
        """Ask for it, and say whether it holds."""
        word = "1" if frozen else "0"
        files.write(self._folder, "cgroup.freeze", word)
        return f"frozen {word}" in files.read(self._folder, "cgroup.events")

    def frozen(self) -> bool:
        """Say whether its processes are stopped; not one that is gone."""
        try:
            return files.read(self._folder, "cgroup.freeze").strip() == "1"
        except FileNotFoundError:
            return False

    def freezer(self) -> str:
        """Return the folder by which the processes are frozen."""
        return self._folder

    def kill(self) -> None:
        """Kill every process in it; one write since Linux 5.14."""
        try:
            files.write(self._folder, "cgroup.kill", "1")
        except FileNotFoundError:
            files.kill(self._folder)

    def pids(self) -> list[int]:
        """Return the processes in it and below."""
        return files.pids(self._folder)

    def remove(self) -> None:
        """Remove the folder; OSError EBUSY while a process is left."""
        files.remove_tree(self._folder)

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed for want of memory."""
        return files.keyed(files.read(self._folder, "memory.events")).get("oom_kill", 0)

    def oom_stuck(self) -> bool:
        """Say whether its processes wait for memory: never, v2 has no way to disable the OOM killer."""
        return False

    def oom_notices(self) -> tuple[int, int]:
        """Return a descriptor, the caller's, and the epoll event that it has when memory is short or has run out.

        One poll of the file instead of an inotify: a user has only 128 of those. It is ready until it is read.
        """
        notices = os.open(f"{self._folder}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        os.read(notices, 4096)
        return notices, EPOLLPRI

    def views(self) -> dict[str, str]:
        """Return what is shown inside at /sys/fs/cgroup: the folder itself."""
        return {"": self._folder}

    def stats(self) -> dict[str, Any]:
        """Return what it uses, in the form of runc's `events --stats`."""
        return stats.of_v2(self._folder)

    def details(self) -> dict[str, Any]:
        """Return all that runc's `events --stats` tells of it."""
        return details.of_v2(self._folder)

    def cpu_time(self) -> int:
        """Return the nanoseconds of processors that its processes have used; OSError or KeyError where none knows."""
        return stats.time_v2(self._folder)


def settings(resources: dict[str, Any], *, bfq: bool = False) -> list[tuple[str, str]]:
    """Return (file, text) for every setting of OCI resources; `bfq`: whether the kernel has that I/O scheduler."""
    found: list[tuple[str, str]] = []
    memory, cpu, pids = (resources.get(key) or {} for key in ("memory", "cpu", "pids"))
    found += _memory(memory)
    if cpu.get("shares"):
        found.append(("cpu.weight", str(weight(cpu["shares"]))))
    if cpu.get("quota") or cpu.get("period"):
        quota = cpu.get("quota") or -1
        found.append(("cpu.max", f"{quota if quota > 0 else 'max'} {cpu.get('period') or 100000}"))
    found += [(f"cpuset.{key}", cpu[key]) for key in ("cpus", "mems") if cpu.get(key)]
    if pids.get("limit") is not None:
        found.append(("pids.max", str(pids["limit"]) if pids["limit"] > 0 else "max"))
    found += [(name, str(cpu[key])) for key, name in CPU_NUMBERS if cpu.get(key) is not None]
    for entry in resources.get("hugepageLimits") or ():
        found.append((f"hugetlb.{entry['pageSize']}.max", str(entry["limit"])))
    block = resources.get("blockIO") or {}
    found += _block_weights(block, bfq=bfq)
    for key, word in THROTTLES:
        found += [
            ("io.max", f"{entry['major']}:{entry['minor']} {word}={entry['rate']}") for entry in block.get(key) or ()
        ]
    found += [("rdma.max", line) for line in files.rdma(resources.get("rdma") or {})]
    found += [(name, str(value)) for name, value in (resources.get("unified") or {}).items()]
    return found


def _block_weights(block: dict[str, Any], *, bfq: bool) -> list[tuple[str, str]]:
    """Return the weights (10 to 1000): bfq takes them so, iocost has 1 to 10000 and divides these as runc does.

    Those of single devices are bfq's alone: io.weight refuses a device that iocost has not been set up for.
    """
    weight = block.get("weight")
    if not bfq:
        return [("io.weight", str(1 + (weight - 10) * 9999 // 990))] if weight else []
    given = [str(weight)] if weight else []
    given += [f"{entry['major']}:{entry['minor']} {entry['weight']}" for entry in block.get("weightDevice") or ()]
    return [("io.bfq.weight", text) for text in given]


def _memory(memory: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    limit, swap = memory.get("limit"), memory.get("swap")
    if swap is not None and limit is not None:
        # The spec's swap is memory and swap together, as v1 counts.
        found.append(("memory.swap.max", "max" if swap == -1 else str(max(swap - limit, 0))))
    if limit is not None:
        found.append(("memory.max", "max" if limit == -1 else str(limit)))
    if memory.get("reservation"):
        found.append(("memory.low", str(memory["reservation"])))
    return found


def weight(shares: int) -> int:
    """Return the v2 weight (1 to 10000) of v1 shares (2 to 262144), linearly as runc 1.1 does."""
    return 1 + (max(shares, 2) - 2) * 9999 // 262142
