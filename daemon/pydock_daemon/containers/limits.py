"""What limits may be asked for, and which of them this host's kernel has. Used by `create` and `update`.

Words and order as moby's `verifyPlatformContainerResources`. A limit that the kernel lacks is discarded with a warning.
"""

import os
from pathlib import Path

from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import HostConfig

from .abilities import has

LEAST_MEMORY = 6 * 1024 * 1024
LEAST_SHARES, MOST_SHARES = 2, 262144  # beyond these the kernel takes another number without a word
MOST_CPUS, MOST_DIGITS = 8192, 12
CPUS, NODES = Path("/sys/devices/system/cpu/online"), Path("/sys/devices/system/node/online")
ABSENT = "or the cgroup is not mounted. {} discarded."
CFS = "CPU CFS scheduler. CPU period/quota discarded."
CPUSET = "cpuset " + ABSENT.format("Cpuset")

# Attribute; files of cgroup v1 and v2 of which one must be there; what is said when none is.
FEATURES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("memory", ("memory.limit_in_bytes", "memory.max"), "memory limit capabilities " + ABSENT.format("Limitation")),
    ("memory_swappiness", ("memory.swappiness",),
     "memory swappiness capabilities " + ABSENT.format("Memory swappiness")),
    ("memory_reservation", ("memory.soft_limit_in_bytes", "memory.low"),
     "memory soft limit capabilities " + ABSENT.format("Limitation")),
    # Kernels since 5.16 take no such limit, and the runtimes of Docker set none.
    ("kernel_memory", (), "kernel memory limit capabilities " + ABSENT.format("Limitation")),
    ("kernel_memory_tcp", ("memory.kmem.tcp.limit_in_bytes",),
     "kernel memory TCP limit " + ABSENT.format("Limitation")),
    ("oom_kill_disable", ("memory.oom_control",), "OomKillDisable. OomKillDisable discarded."),
    ("pids_limit", ("pids.max",), "PIDs limit capabilities " + ABSENT.format("PIDs limit")),
    ("cpu_shares", ("cpu.shares", "cpu.weight"), "CPU shares " + ABSENT.format("Shares")),
    ("cpu_period", ("cpu.cfs_period_us", "cpu.max"), CFS),
    ("cpu_quota", ("cpu.cfs_quota_us", "cpu.max"), CFS),
    ("cpuset_cpus", ("cpuset.cpus",), CPUSET),
    ("cpuset_mems", ("cpuset.mems",), CPUSET),
    ("blkio_weight", ("blkio.bfq.weight", "io.bfq.weight", "io.weight"),
     "Block I/O weight " + ABSENT.format("Weight")),
    ("blkio_weight_device", ("blkio.bfq.weight_device", "io.bfq.weight"),
     "Block I/O weight_device " + ABSENT.format("Weight-device")),
    ("blkio_device_read_bps", ("blkio.throttle.read_bps_device", "io.max"),
     "BPS Block I/O read limit " + ABSENT.format("Block I/O BPS read limit")),
    ("blkio_device_write_bps", ("blkio.throttle.write_bps_device", "io.max"),
     "BPS Block I/O write limit " + ABSENT.format("Block I/O BPS write limit")),
    ("blkio_device_read_iops", ("blkio.throttle.read_iops_device", "io.max"),
     "IOPS Block read limit " + ABSENT.format("Block I/O IOPS read limit")),
    ("blkio_device_write_iops", ("blkio.throttle.write_iops_device", "io.max"),
     "IOPS Block write limit " + ABSENT.format("Block I/O IOPS write limit")),
)  # fmt: skip
WINDOWS = (("cpu_percent", "linux does not support CPU percent. Percent discarded."),
           ("cpu_count", "linux does not support CPU count. Count discarded."))  # fmt: skip
UNSET: tuple[object, ...] = (None, 0, False, "", [], -1)
SWAP_FILES = ("memory.memsw.limit_in_bytes", "memory.swap.max")


def settle(host: HostConfig) -> None:
    """Write the defaults of what is asked into it: as much swap again as memory; no limit is no limit."""
    if (host.memory or 0) > 0 and not host.memory_swap:
        host.memory_swap = 2 * (host.memory or 0)
    if (host.pids_limit or 0) <= 0:
        host.pids_limit = None
    if host.memory_swappiness == -1:
        host.memory_swappiness = None


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
    if not -1000 <= (host.oom_score_adj or 0) <= 1000:
        raise InvalidArgument(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
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
    if 0 < (host.memory_reservation or 0) < LEAST_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if host.memory and host.memory_reservation and host.memory < host.memory_reservation:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")


def _cpu(host: HostConfig) -> None:
    for name, value in (("Period", host.cpu_period), ("Quota", host.cpu_quota)):
        if host.nano_cpus and value:
            raise InvalidArgument(f"Conflicting options: Nano CPUs and CPU {name} cannot both be set")
    if host.nano_cpus and not has("cpu.cfs_quota_us", "cpu.max"):
        raise InvalidArgument(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted"
        )
    shares = host.cpu_shares or 0
    if shares and not LEAST_SHARES <= shares <= MOST_SHARES:
        what, bound = ("minimum", LEAST_SHARES) if shares < LEAST_SHARES else ("maximum", MOST_SHARES)
        raise InvalidArgument(f"the {what} allowed cpu-shares is {bound}")
    cpus = len(os.sched_getaffinity(0))
    if not 0 <= (host.nano_cpus or 0) <= cpus * 10**9:
        raise InvalidArgument(f"Range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if host.cpu_quota and 0 < host.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    period, runtime = host.cpu_realtime_period or 0, host.cpu_realtime_runtime or 0
    if (period or runtime) and not has("cpu.rt_runtime_us"):
        raise InvalidArgument("Your kernel does not support CPU real-time scheduler")
    if period and runtime > period:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def _numbers(text: str, place: str) -> set[int]:
    """Return the numbers of a list such as `0-2,7`; cpuset(7), "List format"."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal():
            raise InvalidArgument(f"Invalid value {text} for {place}: invalid format: {part}")
        if max(len(first), len(last)) > MOST_DIGITS or int(last) > MOST_CPUS:
            raise InvalidArgument(f"Invalid value {text} for {place}: value of out range, maximum is {MOST_CPUS}")
        if int(first) > int(last):
            raise InvalidArgument(f"Invalid value {text} for {place}: invalid format: {part}")
        found |= set(range(int(first), int(last) + 1))
    return found


def discard(host: HostConfig) -> list[str]:
    """Take away what this kernel lacks, and return Docker's warnings; before `check`, which then has less to say."""
    found = dict.fromkeys(words for name, words in WINDOWS if _taken(host, name))  # in order, and each once
    for name, files, words in FEATURES:
        if _given(host, name) and not has(*files):
            _taken(host, name)
            found[f"Your kernel does not support {words}"] = None
    if host.memory and not has(*SWAP_FILES):
        host.memory_swap = -1
        found["Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
              "Memory limited without swap."] = None  # fmt: skip
    if host.oom_kill_disable and not host.memory:
        found["OOM killer is disabled for the container, but no memory limit is set, this can result in the "
              "system running out of resources."] = None  # fmt: skip
    return list(found)


def _given(host: HostConfig, name: str) -> bool:
    value = getattr(host, name)
    return value not in UNSET or (value == 0 and name == "memory_swappiness")


def _taken(host: HostConfig, name: str) -> bool:
    """Take one setting away; say whether there was one."""
    given = _given(host, name)
    if given:
        setattr(host, name, None)
    return given
