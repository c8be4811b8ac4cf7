"""From a container's record to its OCI config.json: an ordered list of small functions over one value. Used by `start`.

Pure: everything that has to be asked of the host comes in `Facts`. Defaults (mounts, masked and read-only paths,
devices, resources) are those of Docker's OCI spec for Linux.
"""

from dataclasses import dataclass, field
from typing import Any

from pydock_shared.wire.container import HostConfig

from .capabilities import granted
from .model import Container, MountPoint
from .resources import resources

Spec = dict[str, Any]
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MASKED_PATHS = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
BASE_MOUNTS = (
    ("proc", "/proc", "proc", ("nosuid", "noexec", "nodev")),
    ("tmpfs", "/dev", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("devpts", "/dev/pts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("sysfs", "/sys", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
    ("cgroup", "/sys/fs/cgroup", "cgroup", ("nosuid", "noexec", "nodev", "ro")),
    ("mqueue", "/dev/mqueue", "mqueue", ("nosuid", "noexec", "nodev")),
)
NAMESPACES = ("mount", "pid", "network", "ipc", "uts", "cgroup")
INIT = "/sbin/docker-init"
"""Where Docker puts it."""
SHM = ("nosuid", "noexec", "nodev")
LONGEST_DOMAIN = 64
DEFAULT_SHM = 64 * 1024 * 1024


@dataclass(frozen=True)
class Facts:
    """What the spec needs to know of the host and of other containers."""

    env: list[str]
    args: list[str]
    files: dict[str, str]
    """Host paths of the container's resolv.conf, hostname and hosts, by their path inside."""
    capabilities: set[str]
    shared: dict[str, int] = field(default_factory=dict)
    """Process whose namespace is joined, by OCI namespace type; 1 means the host's."""
    parts: dict[str, str] = field(default_factory=dict)
    """Paths of what is shown of volumes of which a part is wanted, by target."""
    devices: list[dict[str, Any]] = field(default_factory=list)
    """Devices of the host that are passed on, in OCI form."""
    device_rules: list[dict[str, Any]] = field(default_factory=list)
    block_limits: dict[str, list[dict[str, int]]] = field(default_factory=dict)
    cgroup: str = "/pydock/container"
    """Path of the cgroup below the root of the hierarchies."""
    shm_of: str | None = None
    """Host path of the /dev/shm when it is the host's, or shared with other containers."""
    init: str | None = None
    """Host path of the init that runs the program."""


def build(container: Container, facts: Facts) -> Spec:
    """Return the OCI runtime configuration (runtime-spec 1.2) of a container about to start."""
    spec: Spec = {"ociVersion": "1.2.0", "root": {"path": "rootfs"}, "mounts": [], "linux": {}}
    for part in (_process, _security, _namespaces, _identity, _mounts, _paths, _cgroup, _extras):
        part(spec, container, facts)
    return spec


def _process(spec: Spec, container: Container, facts: Facts) -> None:
    config, host = container.config, container.host
    user: dict[str, Any] = {"username": config.user or "0"}
    if host.group_add:
        user["groups"] = host.group_add
    process: dict[str, Any] = {
        "terminal": bool(config.tty),
        "user": user,
        "args": [INIT, "--", *facts.args] if facts.init else facts.args,
        "env": facts.env,
        "cwd": config.working_dir or "/",
        "noNewPrivileges": "no-new-privileges" in _options(container),
        "oomScoreAdj": host.oom_score_adj or 0,
        "rlimits": rlimits(host),
    }
    if config.tty and host.console_size and any(host.console_size):
        process["consoleSize"] = {"height": host.console_size[0], "width": host.console_size[1]}
    spec["process"] = process


def rlimits(host: HostConfig) -> list[dict[str, Any]]:
    """Return `--ulimit` in OCI form, for the main process and for those that come after it."""
    return [
        {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard} for limit in host.ulimits or ()
    ]


def _security(spec: Spec, container: Container, facts: Facts) -> None:
    host = container.host
    names = granted(host.cap_add, host.cap_drop, privileged=bool(host.privileged), available=facts.capabilities)
    spec["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), names) | {
        "inheritable": [],
        "ambient": [],
    }
    spec["root"]["readonly"] = bool(host.readonly_rootfs)


def _namespaces(spec: Spec, container: Container, facts: Facts) -> None:
    kinds = {"network": "net", "mount": "mnt"}
    entries = []
    for name in NAMESPACES:
        joined = facts.shared.get(name)
        if joined == 1:
            continue
        entry = {"type": name}
        if joined:
            entry["path"] = f"/proc/{joined}/ns/{kinds.get(name, name)}"
        entries.append(entry)
    spec["linux"]["namespaces"] = entries


def _identity(spec: Spec, container: Container, facts: Facts) -> None:
    if "uts" not in facts.shared:
        spec["hostname"] = container.config.hostname or container.short
        if container.config.domainname:
            # What is too long is cut by the kernel when it comes as a sysctl, by which dockerd sets it.
            spec["domainname"] = container.config.domainname.encode()[:LONGEST_DOMAIN].decode(errors="ignore")


def _mounts(spec: Spec, container: Container, facts: Facts) -> None:
    """Fill the mounts, parents before what lies below them, so that a volume below a bind mount is not hidden."""
    privileged = bool(container.host.privileged)
    mounts: list[dict[str, Any]] = []
    for source, target, type_, options in BASE_MOUNTS:
        kept = [option for option in options if not (privileged and option == "ro")]
        if target == "/sys" and facts.shared.get("network") == 1:
            # sysfs belongs to the network namespace; it can only be mounted anew in one of our own.
            mounts.append({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", *options]})
            continue
        mounts.append({"destination": target, "type": type_, "source": source, "options": kept})
    if facts.init:
        mounts.append({"destination": INIT, "type": "bind", "source": facts.init, "options": ["bind", "ro"]})
    own = [_mount(point, facts.parts) for point in container.mounts]
    covered = {mount["destination"] for mount in own}
    if "/dev/shm" not in covered and container.host.ipc_mode != "none":
        mounts.append(_shm(container, facts))
    bound = ["rbind", "rprivate", *(["ro"] if container.in_build else [])]
    for target, path in facts.files.items():
        if target not in covered:
            mounts.append({"destination": target, "type": "bind", "source": path, "options": bound})
    for mount in own:
        mounts = [other for other in mounts if other["destination"] != mount["destination"]]
    spec["mounts"] = mounts + sorted(own, key=lambda mount: mount["destination"].count("/"))


def bind_mounts(container: Container, parts: dict[str, str]) -> list[dict[str, Any]]:
    """Return the volumes and bind mounts of a container, parents before what lies below them; `parts` as in Facts."""
    own = [_mount(point, parts) for point in container.mounts]
    return sorted((m for m in own if m["type"] == "bind"), key=lambda mount: mount["destination"].count("/"))


def _shm(container: Container, facts: Facts) -> dict[str, Any]:
    if facts.shm_of:
        return {"destination": "/dev/shm", "type": "bind", "source": facts.shm_of, "options": ["bind", *SHM]}
    size = container.host.shm_size or DEFAULT_SHM
    options = [*SHM, "mode=1777", f"size={size}"]
    return {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": options}


def _mount(point: MountPoint, parts: dict[str, str]) -> dict[str, Any]:
    if point.type == "tmpfs":
        options = ["noexec", "nosuid", "nodev", *point.options]
        for word in ("exec", "suid", "dev"):
            if word in point.options:
                options = [option for option in options if option != f"no{word}"]
        return {"destination": point.target, "type": "tmpfs", "source": "tmpfs", "options": options}
    options = ["rbind" if point.recursive else "bind", point.propagation or "rprivate"]
    if point.read_only:
        options.append("rro" if point.read_only_below else "ro")
    source = parts.get(point.target, point.source)
    return {"destination": point.target, "type": "bind", "source": source, "options": options}


def _paths(spec: Spec, container: Container, facts: Facts) -> None:
    host = container.host
    masked, readonly = MASKED_PATHS, READONLY_PATHS
    if host.privileged or "systempaths=unconfined" in _options(container):
        masked = readonly = []
    spec["linux"]["maskedPaths"] = host.masked_paths if host.masked_paths is not None else masked
    spec["linux"]["readonlyPaths"] = host.readonly_paths if host.readonly_paths is not None else readonly


def _cgroup(spec: Spec, container: Container, facts: Facts) -> None:
    spec["linux"]["cgroupsPath"] = facts.cgroup
    spec["linux"]["resources"] = resources(
        container.host, extra_rules=facts.device_rules, devices=[*facts.devices], block_limits=facts.block_limits
    )
    spec["linux"]["devices"] = facts.devices


def _extras(spec: Spec, container: Container, facts: Facts) -> None:
    sysctls = dict(container.host.sysctls or {})
    if "network" not in facts.shared:
        # As Docker since 20.10: every port is open to every user, and anybody may ping, in a namespace of our own.
        sysctls = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"} | sysctls
    spec["linux"]["sysctl"] = sysctls
    if container.host.annotations:
        spec["annotations"] = container.host.annotations


def _options(container: Container) -> set[str]:
    """Return the security options in one spelling (`name=value`, booleans as a bare name)."""
    found = {
        option.replace(":", "=", 1) if "=" not in option else option for option in container.host.security_opt or ()
    }
    return {"no-new-privileges" if option == "no-new-privileges=true" else option for option in found}
