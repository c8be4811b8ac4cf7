"""`process.rlimits`: limits of the process about to run. Used by `credentials`."""

from __future__ import annotations

import resource

from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INFINITY = (1 << 64) - 1


def check(limits: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """Return (resource, soft, hard) of each entry; RuntimeFailure for an unknown one."""
    result = []
    for entry in limits:
        number = getattr(resource, entry["type"], None)
        if number is None:
            raise RuntimeFailure(f"unknown rlimit type {entry['type']}", INVALID)
        result.append((number, _value(entry["soft"]), _value(entry["hard"])))
    return result


def _value(number: int) -> int:
    return resource.RLIM_INFINITY if number in (-1, INFINITY) else number


def apply(limits: list[tuple[int, int, int]]) -> None:
    """Set the limits. One above our own hard limit needs CAP_SYS_RESOURCE; without it our hard limit holds."""
    for number, soft, hard in limits:
        try:
            resource.setrlimit(number, (soft, hard))
        except ValueError:
            own = resource.getrlimit(number)[1]
            resource.setrlimit(number, (_least(soft, own), _least(hard, own)))


def _least(wanted: int, own: int) -> int:
    if own == resource.RLIM_INFINITY:
        return wanted
    return own if wanted == resource.RLIM_INFINITY else min(wanted, own)
