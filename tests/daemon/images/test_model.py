"""Platforms: which of those that an image has is the best for one that is asked for."""

import platform

import pytest

from pydock_daemon.images.model import host_rank, parse_platform, whole_host_platform

CHOICES: tuple[tuple[str, list[str], str | None], ...] = (
    ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
    ("linux/amd64", ["linux/386"], "linux/386"),
    ("linux/amd64", ["linux/amd64/v2"], None),
    ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
    ("linux/arm64", ["linux/arm64/v8"], "linux/arm64/v8"),
    ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
    ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
    ("linux/arm/v6", ["linux/arm/v7"], None),
    ("linux/arm", ["linux/arm/v7"], "linux/arm/v7"),
    ("windows/amd64", ["linux/amd64"], None),
)


@pytest.mark.parametrize(("wanted", "offered", "chosen"), CHOICES)
def test_the_best_platform_is_chosen(wanted: str, offered: list[str], chosen: str | None) -> None:
    ranked = parse_platform(wanted).accepted()
    found = next((text for one in ranked for text in offered if one.runs(parse_platform(text))), None)
    assert found == chosen


def test_this_host_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    whole_host_platform.cache_clear()
    assert host_rank(parse_platform("linux/amd64")) < host_rank(parse_platform("linux/386"))
    assert host_rank(parse_platform("linux/s390x")) > host_rank(parse_platform("linux/386"))
