"""What limits may be asked for, and which of them this host's kernel has. Used by `create` and `update`.

Words and order as moby's `verifyPlatformContainerResources`. A limit that the kernel lacks is discarded with a warning.
"""

import functools
import os
from pathlib import Path

from pydock_runtime.cgroup import layout
from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import HostConfig

LEAST_MEMORY = 6 * 1024 * 1024
CPUS, NODES = Path("/sys/devices/system/cpu/online"), Path("/sys/devices/system/node/online")
ABSENT = "or the cgroup is not mounted. {} discarded."
WEIGHT = ("io.weight", "io.bfq.weight")

# Attribute; controller and files of which one must be there; what is said when none is.
FEATURES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("blkio_weight", "blkio", ("blkio.bfq.weight", *WEIGHT), "Block I/O weight " + ABSENT.format("Weight")),
    ("blkio_weight_device", "blkio", ("blkio.bfq.weight_device", *WEIGHT),
     "Block I/O weight_device " + ABSENT.format("Weight-device")),
    ("kernel_memory_tcp", "memory", ("memory.kmem.tcp.limit_in_bytes",),
     "kernel memory TCP limit " + ABSENT.format("Limitation")),
    ("oom_kill_disable", "memory", ("memory.oom_control",), "OomKillDisable. OomKillDisable discarded."),
    ("memory_swappiness", "memory", ("memory.swappiness",),
     "memory swappiness capabilities " + ABSENT.format("Memory swappiness")),
    ("cpu_realtime_runtime", "cpu", ("cpu.rt_runtime_us",), "CPU real-time runtime. Real-time runtime discarded."),
    ("cpu_realtime_period", "cpu", ("cpu.rt_period_us",), "CPU real-time period. Real-time period discarded."),
)  # fmt: skip


def check(host: HostConfig) -> None:
    """Raise InvalidArgument for limits that cannot be, or contradict each other."""
    _memory(host)
    _cpu(host)
    for asked, online, what, place in (
        (host.cpuset_cpus, CPUS, "CPUs", "cpuset cpus"),
        (host.cpuset_mems, NODES, "memory nodes", "cpuset mems"),
    ):
        available = online.read_text().strip() if online.exists() else "0"
        if asked and not _numbers(asked, place) <= _numbers(available, place):
            raise InvalidArgument(f"Requested {what} are not available - requested {asked}, available: {available}")
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if host.shm_size and host.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")


def _memory(host: HostConfig) -> None:
    if host.memory and host.memory < LEAST_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if host.memory_swap and host.memory_swap > 0 and not host.memory:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    if host.memory and host.memory_swap and 0 < host.memory_swap < host.memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory_swappiness is not None and not -1 <= host.memory_swappiness <= 100:
        raise InvalidArgument(f"Invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100")
    if host.memory_reservation and host.memory_reservation < LEAST_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if host.memory and host.memory_reservation and host.memory < host.memory_reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")


def _cpu(host: HostConfig) -> None:
    for name, value in (("Period", host.cpu_period), ("Quota", host.cpu_quota)):
        if host.nano_cpus and value:
            raise InvalidArgument(f"Conflicting options: Nano CPUs and CPU {name} cannot both be set")
    cpus = len(os.sched_getaffinity(0))
    if not 0 <= (host.nano_cpus or 0) <= cpus * 10**9:
        raise InvalidArgument(f"Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if host.cpu_quota and 0 < host.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _numbers(text: str, place: str) -> set[int]:
    """Return the numbers of a list such as `0-2,7`; cpuset(7), "List format"."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or len(first + last) > 9:
            raise InvalidArgument(f"Invalid value {text} for {place}")
        found |= set(range(int(first), min(int(last or first), int(first) + 8192) + 1))
    return found


def discard(host: HostConfig) -> list[str]:
    """Take away what this kernel lacks, and return Docker's warnings."""
    found = []
    for name, controller, files, words in FEATURES:
        value = getattr(host, name)
        if value in (None, 0, False, [], -1) or _has(controller, files):
            continue
        setattr(host, name, None)
        found.append(f"Your kernel does not support {words}")
    if host.oom_kill_disable and not host.memory:
        found.append("OOM killer is disabled for the container, but no memory limit is set, this can result in the "
                     "system running out of resources.")  # fmt: skip
    return found


@functools.cache
def _has(controller: str, files: tuple[str, ...]) -> bool:
    """Say whether one of the files is there, in any cgroup but the root, which has the fewest."""
    host = layout.of_host()
    folders = [Path(point) for name, point in host.hierarchies.items() if controller in name.split(",")]
    if host.unified and not host.hierarchies:
        folders.append(Path(host.unified))
    for folder in folders:
        for below in (folder, *(entry for entry in folder.iterdir() if entry.is_dir())):
            if any((below / name).exists() for name in files):
                return True
    return False
