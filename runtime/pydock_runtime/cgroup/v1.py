"""cgroup v1 and hybrid: a folder in every hierarchy, settings as files; cgroups(7), kernel's admin-guide/cgroup-v1.

Every hierarchy is joined, as runc does, so that the cgroup namespace looks the same everywhere from inside.
"""

from __future__ import annotations

import contextlib
import errno
import os
from select import EPOLLIN

from pydock_runtime.cgroup import details, files, freezing, realtime, stats
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.cgroup.layout import Layout

# A process of one thread that moves itself writes here: cgroup.procs would take a lock over all processes of the host,
# which waits for an RCU grace period, 5 to 25 ms, whenever nobody held it lately.
SELF = "tasks"
UNLIMITED = "-1"

SWAP = "memory.memsw.limit_in_bytes"

# Section and key of OCI resources -> controller, file
NUMBERS = (
    ("memory", "reservation", "memory", "memory.soft_limit_in_bytes"),
    ("memory", "swappiness", "memory", "memory.swappiness"),
    ("memory", "kernel", "memory", "memory.kmem.limit_in_bytes"),
    ("memory", "kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes"),
    ("cpu", "shares", "cpu", "cpu.shares"),
    ("cpu", "realtimePeriod", "cpu", "cpu.rt_period_us"),
    ("cpu", "realtimeRuntime", "cpu", "cpu.rt_runtime_us"),
    ("cpu", "burst", "cpu", "cpu.cfs_burst_us"),
    ("cpu", "idle", "cpu", "cpu.idle"),
    ("cpu", "cpus", "cpuset", "cpuset.cpus"),
    ("cpu", "mems", "cpuset", "cpuset.mems"),
    ("blockIO", "weight", "blkio", "blkio.bfq.weight"),
    ("blockIO", "leafWeight", "blkio", "blkio.leaf_weight"),
)
LEAST_SHARES, MOST_SHARES = 2, 262144
BY_DEVICE = (
    ("weightDevice", "weight", "blkio.bfq.weight_device"),
    ("throttleReadBpsDevice", "rate", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "rate", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "rate", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "rate", "blkio.throttle.write_iops_device"),
)


class Cgroup:
    """One path in all hierarchies of a host."""

    __slots__ = ("_by_controller", "_folders", "_layout", "_real_time", "path")

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._real_time = False
        self._folders = {name: point + path for name, point in layout.hierarchies.items()}
        self._by_controller = {
            controller: folder for name, folder in self._folders.items() for controller in name.split(",")
        }

    def make(self) -> None:
        """Make the folders that are missing, with those above them."""
        for name, folder in self._folders.items():
            try:
                os.mkdir(folder)
            except FileNotFoundError:
                os.makedirs(folder, exist_ok=True)
            except FileExistsError:
                pass
            if "cpuset" in name.split(","):
                _fill_cpuset(self._layout.hierarchies[name], folder)

    def add(self, pid: int) -> None:
        """Move another process into the cgroup."""
        for folder in self._folders.values():
            files.write(folder, "cgroup.procs", str(pid))

    def entrances(self, _beside: int = 0) -> list[int]:
        """Return descriptors that let a process in which can no longer see the host's files (see `files.entrances`)."""
        return files.entrances(list(self._folders.values()), SELF)

    def update(self, resources: dict[str, Any]) -> None:
        """Set limits; OSError names the file that refused, RuntimeFailure what the kernel takes and changes."""
        _check(resources)
        self._lend_realtime(resources.get("cpu") or {})
        for section, key, controller, name in NUMBERS:
            value = (resources.get(section) or {}).get(key)
            if value is not None and value != "":
                self._set(controller, name, str(value))
        memory = resources.get("memory") or {}
        if memory.get("checkBeforeUpdate") and memory.get("limit"):
            files.check_usage(self.folder("memory"), "memory.usage_in_bytes", memory["limit"])
        self._memory(memory.get("limit"), memory.get("swap"))
        if "disableOOMKiller" in memory:
            self._set("memory", "memory.oom_control", "1" if memory["disableOOMKiller"] else "0")
        self._bandwidth(resources.get("cpu") or {})
        limit = (resources.get("pids") or {}).get("limit")
        if limit is not None:
            self._set("pids", "pids.max", str(limit) if limit > 0 else "max")
        for key, field, name in BY_DEVICE:
            for entry in (resources.get("blockIO") or {}).get(key) or ():
                self._set("blkio", name, f"{entry['major']}:{entry['minor']} {entry[field]}")
        for entry in resources.get("hugepageLimits") or ():
            self._set("hugetlb", f"hugetlb.{entry['pageSize']}.limit_in_bytes", str(entry["limit"]))
        self._network(resources.get("network") or {})
        for line in files.rdma(resources.get("rdma") or {}):
            self._set("rdma", "rdma.max", line)
        self._devices(resources.get("devices") or [])

    def _network(self, network: dict[str, Any]) -> None:
        if network.get("classID") is not None:
            self._set("net_cls", "net_cls.classid", str(network["classID"]))
        for entry in network.get("priorities") or ():
            self._set("net_prio", "net_prio.ifpriomap", f"{entry['name']} {entry['priority']}")

    def _lend_realtime(self, cpu: dict[str, Any]) -> None:
        runtime = cpu.get("realtimeRuntime") or 0
        if runtime > 0:
            folder = self.folder("cpu")
            period = cpu.get("realtimePeriod") or int(files.read(folder, realtime.PERIOD))
            self._real_time = True
            realtime.lend(folder.removesuffix(self.path), folder, runtime, period)

    def _set(self, controller: str, name: str, value: str) -> None:
        files.write(self.folder(controller), name, value)

    def _memory(self, limit: int | None, swap: int | None) -> None:
        """Set memory and memory+swap. The smaller must never pass the larger: the order depends on the present one."""
        if limit == -1 and swap is None:
            swap = -1  # memory may not have more than memory and swap
        if swap == -1 and not os.path.exists(f"{self.folder('memory')}/{SWAP}"):
            swap = None  # a kernel that does not count swap does not limit it
        steps = [("memory.limit_in_bytes", limit), (SWAP, swap)]
        if limit is not None and swap is not None:
            present = int(files.read(self.folder("memory"), SWAP))
            if swap == -1 or present < limit:
                steps.reverse()
        for name, value in steps:
            if value is not None:
                self._set_memory(name, value)

    def _set_memory(self, name: str, value: int) -> None:
        """Set one of the limits; RuntimeFailure, in runc's words, where more is in use."""
        try:
            self._set("memory", name, str(value))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            names = (f"memory.{which}usage_in_bytes" for which in ("", "max_"))
            used, most = (int(files.read(self.folder("memory"), name)) for name in names)
            message = f"unable to set memory limit to {value} (current usage: {used}, peak usage: {most})"
            raise RuntimeFailure(message, INVALID) from error

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
        """Write the rules in order; neighbours that go to one file share its descriptor."""
        runs: list[tuple[str, list[str]]] = []
        for rule in rules:
            name = "devices.allow" if rule["allow"] else "devices.deny"
            if not runs or runs[-1][0] != name:
                runs.append((name, []))
            runs[-1][1].append(_device(rule))
        for name, lines in runs:
            files.write_lines(self.folder("devices"), name, lines)

    def freeze(self) -> None:
        """Stop every process in it."""
        freezing.wait(self, frozen=True)

    def thaw(self) -> None:
        """Let the processes go on."""
        freezing.wait(self, frozen=False)

    def ask_frozen(self, *, frozen: bool) -> bool:
        """Ask for it, and say whether it holds; while processes fork it has to be asked for again."""
        folder, word = self.folder("freezer"), "FROZEN" if frozen else "THAWED"
        files.write(folder, "freezer.state", word)
        return files.read(folder, "freezer.state").strip() == word

    def frozen(self) -> bool:
        """Say whether its processes are stopped; not one that is gone."""
        try:
            return files.read(self.folder("freezer"), "freezer.state").strip() != "THAWED"
        except FileNotFoundError:
            return False

    def freezer(self) -> str:
        """Return the folder by which the processes are frozen."""
        return self.folder("freezer")

    def kill(self) -> None:
        """Send SIGKILL to every process in it; a frozen one dies when it is thawed."""
        files.kill(self._process_folder())

    def pids(self) -> list[int]:
        """Return the processes in it and below."""
        return files.pids(self._process_folder())

    def _process_folder(self) -> str:
        return self._by_controller.get("pids") or next(iter(self._folders.values()))

    def remove(self) -> None:
        """Remove the folders; OSError EBUSY while a process is left."""
        if self._real_time:
            # The kernel counts it as used for some time after the folder has gone.
            with contextlib.suppress(OSError):
                self._set("cpu", realtime.RUNTIME, "0")
        for folder in self._folders.values():
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                # Cgroups below it, made from inside.
                files.remove_tree(folder)
        if self._layout.unified is not None:
            # We make none there, but other runtimes do, and leave those above it.
            with contextlib.suppress(OSError):
                os.rmdir(self._layout.unified + self.path)

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed for want of memory."""
        return files.keyed(files.read(self.folder("memory"), "memory.oom_control")).get("oom_kill", 0)

    def oom_stuck(self) -> bool:
        """Say whether its processes wait for memory, since the OOM killer is disabled."""
        return files.keyed(files.read(self.folder("memory"), "memory.oom_control")).get("under_oom", 0) == 1

    def oom_notices(self) -> tuple[int, int]:
        """Return a descriptor, the caller's, and the epoll event that it has when memory runs out.

        Section 10 of the kernel's admin-guide/cgroup-v1/memory; OSError where the kernel has no such notices.
        """
        folder = self.folder("memory")
        with contextlib.ExitStack() as undo:
            notices = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            undo.callback(os.close, notices)
            control = os.open(f"{folder}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                files.write(folder, "cgroup.event_control", f"{notices} {control}")
            finally:
                os.close(control)
            undo.pop_all()
        return notices, EPOLLIN

    def views(self) -> dict[str, str]:
        """Return what is shown inside at /sys/fs/cgroup: host folder by name."""
        return dict(self._folders)

    def stats(self) -> dict[str, Any]:
        """Return what it uses, in the form of runc's `events --stats`."""
        return stats.of_v1(self._by_controller)

    def details(self) -> dict[str, Any]:
        """Return all that runc's `events --stats` tells of it."""
        return details.of_v1(self._by_controller)

    def cpu_time(self) -> int:
        """Return the nanoseconds of processors that its processes have used; OSError or KeyError where none knows."""
        return stats.time_v1(self._by_controller["cpuacct"])

    def folder(self, controller: str) -> str:
        """Return the folder of a controller; OSError when it is not mounted."""
        try:
            return self._by_controller[controller]
        except KeyError as error:
            raise OSError(errno.ENODEV, f"cgroup controller {controller} is not mounted", self.path) from error


def _check(resources: dict[str, Any]) -> None:
    """Raise RuntimeFailure, in runc's words, for what the kernel would not refuse."""
    if resources.get("unified"):
        raise RuntimeFailure("invalid configuration: cannot use unified on cgroup v1", INVALID)
    shares = (resources.get("cpu") or {}).get("shares") or LEAST_SHARES
    if not LEAST_SHARES <= shares <= MOST_SHARES:
        bound = f"minimum allowed cpu-shares is {LEAST_SHARES}"
        if shares > MOST_SHARES:
            bound = f"maximum allowed cpu-shares is {MOST_SHARES}"
        raise RuntimeFailure(f"the {bound}", INVALID)
    swappiness = (resources.get("memory") or {}).get("swappiness") or 0
    if swappiness > 100:
        raise RuntimeFailure(f"invalid memory swappiness value: {swappiness} (valid range is 0-100)", INVALID)


def _fill_cpuset(root: str, folder: str) -> None:
    """Give a new cpuset the CPUs and memory nodes of the one above: without them it takes no process."""
    if files.read(folder, "cpuset.cpus").strip() and files.read(folder, "cpuset.mems").strip():
        return
    above = os.path.dirname(folder)
    if above != root:
        _fill_cpuset(root, above)
        # Cgroups made in it from now on, the next containers, copy these by themselves.
        files.write(above, "cgroup.clone_children", "1")
    for setting in ("cpuset.cpus", "cpuset.mems"):
        files.write(folder, setting, files.read(above, setting).strip())


def _device(rule: dict[str, Any]) -> str:
    kind = rule.get("type") or "a"
    if kind == "a":
        return "a"
    major, minor = ("*" if rule.get(key) in (None, -1) else rule[key] for key in ("major", "minor"))
    return f"{kind} {major}:{minor} {rule.get('access') or 'rwm'}"
