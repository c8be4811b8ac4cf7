"""What a config.json is made of: the type of each part, so that what follows finds what it expects. Used by the verbs.

A table of the runtime-spec 1.3. An object has the parts that are named, and others that nobody looks at; any of them
may be null, as if it were not there. pydockd makes its specs itself: they are not looked at again.
"""

from __future__ import annotations

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT, NUMBER, SWITCH = "a text", "a whole number", "true or false"


class Each:
    """An object that has parts of any name, all of one shape."""

    __slots__ = ("shape",)

    def __init__(self, shape: Any) -> None:
        self.shape = shape


TEXTS = [TEXT]
IDS = [{"containerID": NUMBER, "hostID": NUMBER, "size": NUMBER}]
HOOK = {"path": TEXT, "args": TEXTS, "env": TEXTS, "timeout": NUMBER}
BY_DEVICE = [{"major": NUMBER, "minor": NUMBER, "weight": NUMBER, "leafWeight": NUMBER, "rate": NUMBER}]
DEVICE_BLOCKS = ("weightDevice", "throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice")
PROCESS = {
    "terminal": SWITCH,
    "consoleSize": {"height": NUMBER, "width": NUMBER},
    "user": {"uid": NUMBER, "gid": NUMBER, "umask": NUMBER, "additionalGids": [NUMBER], "username": TEXT},
    "args": TEXTS,
    "env": TEXTS,
    "cwd": TEXT,
    "capabilities": Each(TEXTS),
    "rlimits": [{"type": TEXT, "soft": NUMBER, "hard": NUMBER}],
    "noNewPrivileges": SWITCH,
    "oomScoreAdj": NUMBER,
    "scheduler": {"policy": TEXT, "flags": TEXTS, "nice": NUMBER, "priority": NUMBER, "runtime": NUMBER}
    | {"deadline": NUMBER, "period": NUMBER},
    "ioPriority": {"class": TEXT, "priority": NUMBER},
    "execCPUAffinity": {"initial": TEXT, "final": TEXT},
    "apparmorProfile": TEXT,
    "selinuxLabel": TEXT,
}
RESOURCES = {
    "devices": [{"allow": SWITCH, "type": TEXT, "major": NUMBER, "minor": NUMBER, "access": TEXT}],
    "memory": dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness"), NUMBER)
    | dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), SWITCH),
    "cpu": dict.fromkeys(("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "idle"), NUMBER)
    | {"cpus": TEXT, "mems": TEXT},
    "pids": {"limit": NUMBER},
    "blockIO": dict.fromkeys((*DEVICE_BLOCKS, "throttleWriteIOPSDevice"), BY_DEVICE)
    | {"weight": NUMBER, "leafWeight": NUMBER},
    "hugepageLimits": [{"pageSize": TEXT, "limit": NUMBER}],
    "network": {"classID": NUMBER, "priorities": [{"name": TEXT, "priority": NUMBER}]},
    "rdma": Each({"hcaHandles": NUMBER, "hcaObjects": NUMBER}),
    "unified": Each(TEXT),
}
SECCOMP = {
    "defaultAction": TEXT,
    "defaultErrnoRet": NUMBER,
    "architectures": TEXTS,
    "flags": TEXTS,
    "listenerPath": TEXT,
    "listenerMetadata": TEXT,
    "syscalls": [
        {
            "names": TEXTS,
            "action": TEXT,
            "errnoRet": NUMBER,
            "args": [{"index": NUMBER, "value": NUMBER, "valueTwo": NUMBER, "op": TEXT}],
        }
    ],
}
LINUX = {
    "namespaces": [{"type": TEXT, "path": TEXT}],
    "uidMappings": IDS,
    "gidMappings": IDS,
    "timeOffsets": Each({"secs": NUMBER, "nanosecs": NUMBER}),
    "devices": [
        dict.fromkeys(("type", "path"), TEXT) | dict.fromkeys(("major", "minor", "fileMode", "uid", "gid"), NUMBER)
    ],
    "cgroupsPath": TEXT,
    "resources": RESOURCES,
    "intelRdt": dict.fromkeys(("closID", "l3CacheSchema", "memBwSchema"), TEXT)
    | dict.fromkeys(("enableCMT", "enableMBM", "enableMonitoring"), SWITCH)
    | {"schemata": TEXTS},
    "memoryPolicy": {"mode": TEXT, "nodes": TEXT, "flags": TEXTS},
    "netDevices": Each({"name": TEXT}),
    "sysctl": Each(TEXT),
    "seccomp": SECCOMP,
    "rootfsPropagation": TEXT,
    "maskedPaths": TEXTS,
    "readonlyPaths": TEXTS,
    "mountLabel": TEXT,
    "personality": {"domain": TEXT, "flags": TEXTS},
}
CONFIG = {
    "ociVersion": TEXT,
    "process": PROCESS,
    "root": {"path": TEXT, "readonly": SWITCH},
    "hostname": TEXT,
    "domainname": TEXT,
    "mounts": [
        dict.fromkeys(("destination", "type", "source"), TEXT)
        | {"options": TEXTS, "uidMappings": IDS, "gidMappings": IDS}
    ],
    "hooks": Each([HOOK]),
    "annotations": Each(TEXT),
    "linux": LINUX,
}
SIMPLE = {TEXT: str, NUMBER: int, SWITCH: bool}


def check(value: Any, shape: Any, where: str) -> None:
    """Raise RuntimeFailure for the first part that is of another type than its shape; `where` is its name."""
    if value is None:
        return
    if isinstance(shape, str):
        # To Python true is a number.
        if not isinstance(value, SIMPLE[shape]) or (shape is NUMBER and isinstance(value, bool)):
            raise _not(where, shape)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _not(where, "a list")
        for number, part in enumerate(value):
            check({} if part is None else part, shape[0], f"{where}[{number}]")
    elif not isinstance(value, dict):
        raise _not(where, "an object")
    else:
        for key, part in value.items():
            inner = shape.shape if isinstance(shape, Each) else shape.get(key)
            if inner is not None:
                check(part, inner, f"{where}.{key}" if where else key)


def _not(where: str, what: str) -> RuntimeFailure:
    return RuntimeFailure(f"{where or 'it'} is not {what}", INVALID)
