"""Which entries of the build cache a prune takes."""

from typing import Any

import pytest

from pydock_daemon.builder.prune import Limits, chosen
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters

HOUR = 3600 * 10**9
NOW = 1_800_000_000 * 10**9


def entry(name: str, *, used: int, size: int = 10, in_use: bool = False, shared: bool = False) -> dict[str, Any]:
    """An entry that was used so many hours ago."""
    return {"ID": name, "Type": "regular", "Description": f"RUN {name}", "InUse": in_use, "Shared": shared,
            "Size": size, "LastUsedAt": NOW - used * HOUR}  # fmt: skip


ENTRIES = [
    entry("young", used=1),
    entry("old", used=30),
    entry("busy", used=50, in_use=True, shared=True),
    entry("shared", used=40, shared=True),
    entry("older", used=60),
]


def names(filters: dict[str, list[str]], limits: Limits, *, free: int = 0, every: bool = False) -> list[str]:
    found = chosen(ENTRIES, Filters(filters), limits, free, every=every, now=NOW)
    return [each["ID"] for each in found]


def test_what_nobody_uses_goes_the_oldest_first():
    assert names({}, Limits()) == ["older", "old", "young"]
    assert names({}, Limits(), every=True) == ["older", "shared", "old", "young"]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"until": ["24h"]}, ["older", "old"]),
        ({"unused-for": ["48h"]}, ["older"]),
        ({"until": [str(NOW // 10**9 - 50 * 3600)]}, ["older"]),
        ({"id": ["oung"]}, ["young"]),
        ({"description": ["RUN old"]}, ["old"]),
        ({"type": ["exec.cachemount"]}, []),
        ({"private": []}, ["older", "old", "young"]),
        ({"inuse": ["true"]}, []),
        ({"label": ["a", "b=c"]}, []),
        ({"label!": ["a"]}, ["older", "old", "young"]),
    ],
)
def test_filters(filters: dict[str, list[str]], wanted: list[str]):
    assert names(filters, Limits()) == wanted


@pytest.mark.parametrize(
    ("limits", "free", "wanted"),
    [
        (Limits(reserved=30), 0, []),
        (Limits(reserved=15), 0, ["older", "old"]),
        (Limits(max_used=25), 0, ["older"]),
        (Limits(max_used=5, reserved=20), 0, ["older"]),
        (Limits(min_free=100), 100, []),
        (Limits(min_free=100), 85, ["older", "old"]),
        (Limits(min_free=100, max_used=25), 85, ["older", "old"]),
        (Limits(min_free=100, reserved=20), 0, ["older"]),
        (Limits(max_used=1), 0, ["older", "old", "young"]),
    ],
)
def test_limits_of_space(limits: Limits, free: int, wanted: list[str]):
    assert names({}, limits, free=free) == wanted


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"until": ["soon"]}, "filter expects a duration"),
        ({"until": ["1h", "2h"]}, "expect only one value"),
        ({"id": ["a", "b"]}, "expect only one value"),
        ({"until": ["1h"], "unused-for": ["1h"]}, "conflicting filters"),
    ],
)
def test_bad_filters(filters: dict[str, list[str]], message: str):
    with pytest.raises(InvalidArgument, match=message):
        names(filters, Limits())
