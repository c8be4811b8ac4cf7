"""How a process is scheduled, and which machine it believes to be on: checked first, set later. Used by `credentials`.

`process.scheduler`, `process.ioPriority`, `process.execCPUAffinity` and `linux.personality` of a spec;
sched_setattr(2), ioprio_set(2), sched_setaffinity(2), personality(2).
"""

from __future__ import annotations

import os
import struct

from pydock_runtime import linux
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
ATTRIBUTES = struct.Struct(
    "=IIQiIQQQ"
)  # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IO_CLASS_SHIFT = 13
PERSONALITIES = {"LINUX": 0, "LINUX32": 0x0008}


class Scheduling:
    """What a `process` asks for; empty for most."""

    __slots__ = ("_attributes", "_io", "final", "initial")

    def __init__(self, process: dict[str, Any]) -> None:
        self._attributes = _scheduler(process["scheduler"]) if process.get("scheduler") else None
        self._io = _io_priority(process["ioPriority"]) if process.get("ioPriority") else None
        affinity = process.get("execCPUAffinity") or {}
        self.initial = _cpus("initial", affinity)
        self.final = _cpus("final", affinity)

    @property
    def asked(self) -> bool:
        """Whether there is something to `apply`."""
        return self._attributes is not None or self._io is not None

    def apply(self) -> None:
        """Set scheduler and I/O priority of this process; RuntimeFailure when the kernel does not take them."""
        if self._attributes is not None:
            try:
                linux.sched_setattr(self._attributes)
            except OSError as error:
                raise RuntimeFailure(f"error setting scheduler: {reason(error)}", INVALID) from error
        if self._io is not None:
            try:
                linux.ioprio_set(self._io)
            except OSError as error:
                raise RuntimeFailure(f"error setting I/O priority: {reason(error)}", INVALID) from error


def _scheduler(entry: dict[str, Any]) -> bytes:
    policy = POLICIES.get(entry.get("policy") or "")
    if policy is None:
        raise RuntimeFailure(f"scheduler policy {entry.get('policy')!r} is not one", INVALID)
    flags = 0
    for word in entry.get("flags") or ():
        if word not in FLAGS:
            raise RuntimeFailure(f"scheduler flag {word!r} is not one", INVALID)
        flags |= FLAGS[word]
    numbers = [entry.get(key) or 0 for key in ("nice", "priority", "runtime", "deadline", "period")]
    if not -20 <= numbers[0] <= 19:
        raise RuntimeFailure(f"scheduler nice {numbers[0]} is not between -20 and 19", INVALID)
    try:
        return ATTRIBUTES.pack(ATTRIBUTES.size, policy, flags, *numbers)
    except struct.error as error:
        raise RuntimeFailure(f"scheduler: {error}", INVALID) from error


def _io_priority(entry: dict[str, Any]) -> int:
    kind, priority = IO_CLASSES.get(entry.get("class") or ""), entry.get("priority") or 0
    if kind is None:
        raise RuntimeFailure(f"ioPriority class {entry.get('class')!r} is not one", INVALID)
    if not 0 <= priority <= 7:
        raise RuntimeFailure(f"ioPriority {priority} is not between 0 and 7", INVALID)
    return kind << IO_CLASS_SHIFT | priority


def _cpus(name: str, affinity: dict[str, Any]) -> set[int] | None:
    return numbers(f"execCPUAffinity.{name}", "a list of CPUs", affinity.get(name))


def numbers(name: str, what: str, text: str | None) -> set[int] | None:
    """Return the numbers of a list such as 0-3,7, None without one; RuntimeFailure when it is not `what`."""
    if not text:
        return None
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not (first.isdigit() and (last.isdigit() if dash else not last)):
            raise RuntimeFailure(f"{name} {text!r} is not {what}", INVALID)
        found |= set(range(int(first), int(last if dash else first) + 1))
    return found


def pin(cpus: set[int] | None) -> None:
    """Let this process run on some CPUs only; None changes nothing."""
    if cpus is None:
        return
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        raise RuntimeFailure(f"execCPUAffinity: {reason(error)}", INVALID) from error


def personality(entry: dict[str, Any]) -> int | None:
    """Return the number of `linux.personality`, None without one; RuntimeFailure for one that there is not."""
    if not entry:
        return None
    if entry.get("flags"):
        raise RuntimeFailure("personality flags are not supported by the specification yet", INVALID)
    if entry.get("domain") not in PERSONALITIES:
        raise RuntimeFailure(f"personality domain {entry.get('domain')!r} is not one", INVALID)
    return PERSONALITIES[entry["domain"]]
