"""`spec`: a config.json to start from, as runc writes it."""

from __future__ import annotations

import json
import os

from pydock_runtime import spec as specs
from pydock_runtime.arguments import SWITCH, TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = ""
SEALED = False
FLAGS = (
    Flag("bundle", TEXT, "folder to write it to (default: here)", "b"),
    Flag("rootless", SWITCH, "with a user namespace in which the caller is root"),
)
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
PLAIN = ["nosuid", "noexec", "nodev"]
MOUNTS: tuple[tuple[str, str, str, list[str]], ...] = (
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", [*PLAIN, "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", PLAIN),
    ("/sys", "sysfs", "sysfs", [*PLAIN, "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", [*PLAIN, "relatime", "ro"]),
)
MASKED = "acpi asound kcore keys latency_stats timer_list timer_stats sched_debug scsi".split()
READ_ONLY = "bus fs irq sys sysrq-trigger".split()


def run(call: Call) -> int:
    """Write the file; refused when there is one."""
    call.require(0, 0)
    path = os.path.join(call.text("bundle") or ".", specs.FILE)
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(rootless() if call.has("rootless") else example(), file, indent=2)
    except FileExistsError as error:
        raise RuntimeFailure(f"File {path} exists. Remove it first", INVALID) from error
    return 0


def example() -> dict[str, Any]:
    """Return a spec that runs a shell on the terminal."""
    return {
        "ociVersion": specs.VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "pydock",
        "mounts": [
            {"destination": target, "type": type_, "source": source, "options": options}
            for target, type_, source, options in MOUNTS
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": [*(f"/proc/{name}" for name in MASKED), "/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in READ_ONLY],
        },
    }


def rootless() -> dict[str, Any]:
    """Return the same without what only the host's root may: a network, limits, others' groups, a new sysfs."""
    spec = example()
    part = spec["linux"]
    kept = [entry for entry in part["namespaces"] if entry["type"] != "network"]
    part["namespaces"] = [*kept, {"type": "user"}]
    part["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    part["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    del part["resources"]
    for mount in spec["mounts"]:
        mount["options"] = [word for word in mount["options"] if not word.startswith(("gid=", "uid="))]
        if mount["type"] == "sysfs":
            mount.update(type="none", source="/sys", options=["rbind", *PLAIN, "ro"])
    return spec
