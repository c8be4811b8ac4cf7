"""Capability sets of a process, from their names in the spec to the kernel. Used by `credentials`; capabilities(7)."""

from __future__ import annotations

import errno

from pydock_runtime import abi, linux, rootless, steps
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pydock_runtime.steps import Step

# In the order of their numbers.
NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
NUMBERS = {f"CAP_{name}": number for number, name in enumerate(NAMES)}


def mask(names: Iterable[str] | None) -> int:
    """Return the bit mask of a set of names."""
    bits = 0
    for name in names or ():
        if name not in NUMBERS:
            raise RuntimeFailure(f"unknown capability {name!r}", INVALID)
        bits |= 1 << NUMBERS[name]
    return bits


def held() -> int:
    """Return the capabilities of this process, read once: a container cannot get more."""
    if not _held:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("CapPrm:"))
        _held.append(int(line.split()[1], 16))
    return _held[0]


_held: list[int] = []


def grantable(sets: dict[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the sets of a spec without what there is not or we have not, and the names of that.

    The runtime-spec wants a container to start without, and a warning (config.md, "Linux Process").
    """
    have = (1 << 64) - 1 if rootless.unprivileged() else held()
    asked = sorted({name for names in sets.values() for name in names or ()})
    missing = [name for name in asked if name not in NUMBERS or not have >> NUMBERS[name] & 1]
    return {key: [name for name in names or () if name not in missing] for key, names in sets.items()}, missing


class Sets:
    """The five sets of a process as bit masks."""

    __slots__ = ("ambient", "dropped", "effective", "inheritable", "permitted")

    def __init__(self, spec: dict[str, Any]) -> None:
        bounding = mask(spec.get("bounding"))
        self.dropped = [number for number in range(len(NAMES)) if not bounding >> number & 1]
        self.effective = mask(spec.get("effective"))
        self.permitted = mask(spec.get("permitted"))
        self.inheritable = mask(spec.get("inheritable"))
        # The kernel has no others, and runc says nothing of them either: they are in its own example.
        self.ambient = mask(spec.get("ambient")) & self.inheritable & self.permitted
        # In the user namespace of a user who is not root there are all of them.
        missing = 0 if rootless.unprivileged() else self.permitted & ~held()
        if missing:
            names = ", ".join(f"CAP_{name}" for number, name in enumerate(NAMES) if missing >> number & 1)
            raise RuntimeFailure(f"the runtime itself does not have {names}", INVALID)


def drop_bounding(sets: Sets) -> list[Step]:
    """Return the taking of everything out of the bounding set that is not in it; needs CAP_SETPCAP, so it comes first.

    The same few sets are asked for again and again, so the answers are kept.
    """
    key = tuple(sets.dropped)
    if key not in _drops:
        # EINVAL: a capability this kernel does not know.
        _drops[key] = [steps.prctl(abi.PR_CAPBSET_DROP, number, tolerated=errno.EINVAL) for number in key]
    return _drops[key]


_drops: dict[tuple[int, ...], list[Step]] = {}


def apply(sets: Sets, *, root: bool) -> list[Step]:
    """Return the setting of the other four sets, after the user has changed.

    Any user but root gets at once what execve(2) will leave it, the ambient set, as with Docker: what it may not read
    or execute it cannot be made to run either.
    """
    effective, permitted = (sets.effective, sets.permitted) if root else (sets.ambient, sets.ambient)
    raised = [
        steps.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)
        for number in range(len(NAMES) if sets.ambient else 0)
        if sets.ambient >> number & 1
    ]
    return [
        steps.call("capset", *linux.capability_sets(effective, permitted, sets.inheritable)),
        steps.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL),
        *raised,
    ]
