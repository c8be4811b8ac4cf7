"""What `GET /info` says of the host: the kernel, what it can limit, and what one should know of it. Used by `system`.

Names, words and order of the warnings are moby's (`fillPlatformInfo` and its neighbours).
"""

import os
import platform
import re
from pathlib import Path
from typing import Any

from pydock_daemon.config import Config
from pydock_daemon.containers import abilities
from pydock_daemon.images.proxies import from_environment
from pydock_runtime.cgroup import layout

# Field; files of cgroup v1 and v2 of which one must be there; the warning on v1 and on v2, empty where Docker has none.
LIMITS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("MemoryLimit", ("memory.limit_in_bytes", "memory.max"), "memory limit", "memory limit"),
    ("SwapLimit", ("memory.memsw.limit_in_bytes", "memory.swap.max"), "swap limit", "swap limit"),
    ("KernelMemoryTCP", ("memory.kmem.tcp.limit_in_bytes",), "kernel memory TCP limit", ""),
    ("OomKillDisable", ("memory.oom_control",), "oom kill disable", ""),
    ("CpuCfsQuota", ("cpu.cfs_quota_us", "cpu.max"), "cpu cfs quota", "cpu cfs quota"),
    ("CpuCfsPeriod", ("cpu.cfs_period_us", "cpu.max"), "cpu cfs period", "cpu cfs period"),
    ("CPUShares", ("cpu.shares", "cpu.weight"), "cpu shares", "cpu shares"),
    ("CPUSet", ("cpuset.cpus",), "cpuset", "cpuset"),
    ("PidsLimit", ("pids.max",), "", ""),
)
# Of these there is no field. Kernels since 5.0 have no weight on v1, and nobody can do anything about that.
BLOCK: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("io.weight", "io.bfq.weight"), "", "io.weight"),
    (("io.weight", "io.bfq.weight"), "", "io.weight (per device)"),
    (("blkio.throttle.read_bps_device", "io.max"), "blkio throttle.read_bps_device", "io.max (rbps)"),
    (("blkio.throttle.write_bps_device", "io.max"), "blkio throttle.write_bps_device", "io.max (wbps)"),
    (("blkio.throttle.read_iops_device", "io.max"), "blkio throttle.read_iops_device", "io.max (riops)"),
    (("blkio.throttle.write_iops_device", "io.max"), "blkio throttle.write_iops_device", "io.max (wiops)"),
)
OPEN_API = """WARNING: API is accessible on {}.
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/"""
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
EXT = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}
"""Names of file systems where Docker has others than the kernel."""


def host(config: Config) -> dict[str, Any]:
    """Return the fields of /info about this host."""
    uname = os.uname()
    unified = not layout.of_host().hierarchies
    forwarding = FORWARDING.read_text().strip() == "1"
    return {
        **{name: abilities.has(*files) for name, files, *_ in LIMITS},
        "IPv4Forwarding": forwarding,
        "NFd": len(os.listdir("/proc/self/fd")),
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if unified else "1",
        "KernelVersion": uname.release,
        "OperatingSystem": _os_release("PRETTY_NAME"),
        "OSVersion": _os_release("VERSION_ID"),
        "OSType": "linux",
        "Architecture": uname.machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": uname.nodename,
        "DriverStatus": [["Backing Filesystem", filesystem(config.data_root)], ["Supports d_type", "true"]],
        "Warnings": _open_hosts(config) + missing(abilities.files(), unified=unified)
        + ([] if forwarding else ["WARNING: IPv4 forwarding is disabled"]),
        "CDISpecDirs": list(map(str, config.cdi_folders)),
        "DiscoveredDevices": _named_devices(config),
        **proxies(),
    }  # fmt: skip


def _named_devices(config: Config) -> list[dict[str, str]]:
    """Return the devices that vendors describe in files."""
    if not any(folder.is_dir() for folder in config.cdi_folders):
        return []
    from pydock_daemon.containers.cdi import files  # whoever has no such folder does not pay for it

    return [{"Source": "cdi", "ID": name} for name in sorted(files.load(config.cdi_folders))]


def missing(files: frozenset[str], *, unified: bool) -> list[str]:
    """Return the warnings of a kernel whose cgroups have these files."""
    rows = [(names, *words) for _, names, *words in LIMITS] + list(BLOCK)
    texts = [words[unified] for names, *words in rows if files.isdisjoint(names)]
    return [f"WARNING: No {text} support" for text in texts if text]


def proxies() -> dict[str, str]:
    """Return the proxies of the daemon's environment, which pulls and pushes use, without what is secret in them."""
    found = from_environment()
    http, https = (re.sub(r"//[^/@]*@", "//xxxxx:xxxxx@", proxy) for proxy in (found.http, found.https))
    return {"HttpProxy": http, "HttpsProxy": https, "NoProxy": found.no}


def filesystem(path: Path) -> str:
    """Return the type of the file system at a path, in Docker's words; proc_pid_mountinfo(5)."""
    best, kind = "", "<unknown>"
    text = str(path.resolve())
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        head, _, tail = line.partition(" - ")
        point = head.split()[4]
        if len(point) >= len(best) and (point == "/" or text == point or text.startswith(point + "/")):
            best, kind = point, tail.split()[0]
    return EXT.get(kind, kind)


def _open_hosts(config: Config) -> list[str]:
    if config.tls_verify:
        return []
    form = "https{} without TLS client verification" if config.tls else "http{} without encryption"
    hosts = (host.removeprefix("tcp") for host in config.hosts if host.startswith("tcp://"))
    return [OPEN_API.format(form.format(host)) for host in hosts]


def _os_release(key: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""
