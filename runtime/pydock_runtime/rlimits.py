"""`process.rlimits`: limits of the process about to run. Used by `credentials`.

The supervisor and pydockd take more descriptors than a program is given by default (1024, which is what `select` can
take): they `raise_files` for themselves, and what they start gets back what it would have had.
"""

from __future__ import annotations

import errno
import resource
import struct

from pydock_runtime import steps
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.steps import Step

INFINITY = (1 << 64) - 1
_given: list[int] = []


def files() -> int:
    """Return the soft limit of descriptors that `give_back` restores: the one this process was started with."""
    return _given[0] if _given else resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_files(given: int | None = None) -> None:
    """Allow this process as many descriptors as it may have.

    What it starts gets back what it had itself, or `given`: whoever started it may have raised its own before.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if not _given:
        _given.append(files() if given is None else _least(given, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def give_back() -> list[Step]:
    """Return the undoing of `raise_files` in a child that is about to become somebody else's program."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # EPERM: in a user namespace they have been set from outside, and cannot be raised any more.
    return [_setting(resource.RLIMIT_NOFILE, soft, hard, tolerated=errno.EPERM) for soft in _given]


def check(limits: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """Return (resource, soft, hard) of each entry; RuntimeFailure for one that is unknown or upside down."""
    result = []
    for entry in limits:
        name = entry.get("type") or ""
        number = getattr(resource, name, None) if name.startswith("RLIMIT_") else None
        if number is None:
            raise RuntimeFailure(f"unknown rlimit type {name}", INVALID)
        soft, hard = _value(entry.get("soft") or 0), _value(entry.get("hard") or 0)
        if _least(soft, hard) != soft:
            raise RuntimeFailure(f"{name}: the soft limit is above the hard limit", INVALID)
        result.append((number, soft, hard))
    return result


def _value(number: int) -> int:
    return resource.RLIM_INFINITY if number in (-1, INFINITY) else number


def apply(limits: list[tuple[int, int, int]], pid: int = 0) -> None:
    """Set the limits. One above our own hard limit needs CAP_SYS_RESOURCE; without it our hard limit holds."""
    for number, soft, hard in limits:
        try:
            resource.prlimit(pid, number, (soft, hard))
        except (PermissionError, ValueError):
            own = resource.prlimit(pid, number)[1]
            resource.prlimit(pid, number, (_least(soft, own), _least(hard, own)))


def applying(limits: list[tuple[int, int, int]]) -> list[Step]:
    """Return what `apply` does, for a child of ours."""
    if any(_least(hard, resource.getrlimit(number)[1]) != hard for number, _, hard in limits):
        return [steps.python(apply, limits)]
    return [_setting(*limit) for limit in limits]


def _setting(number: int, soft: int, hard: int, *, tolerated: int = 0) -> Step:
    wanted = struct.pack("=QQ", soft & INFINITY, hard & INFINITY)
    return steps.call("prlimit", 0, number, wanted, None, tolerated=tolerated)


def _least(first: int, second: int) -> int:
    finite = [limit for limit in (first, second) if limit != resource.RLIM_INFINITY]
    return min(finite, default=resource.RLIM_INFINITY)
