"""Caches from and for elsewhere: which are taken, which are refused."""

import json

import pytest

from pydock_daemon.buildkit import caching
from pydock_daemon.buildkit.messages import make
from pydock_shared.errors import InvalidArgument, NotSupported


def entry(kind: str, **attributes: str) -> object:
    return make("CacheEntry", Type=kind, Attrs=attributes)


def test_sources() -> None:
    text = json.dumps([{"Type": "registry", "Attrs": {"ref": "b"}}, {"Type": "registry", "Attrs": {"ref": "a"}}])
    assert caching.sources([entry("registry", ref="a")], text) == ["a", "b"]
    assert caching.sources([], "") == []


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '[{"Type": "registry", "Attrs": 5}]'])
def test_malformed_sources(text: str) -> None:
    with pytest.raises(InvalidArgument):
        caching.sources([], text)


@pytest.mark.parametrize("kind", ["local", "gha", "s3", ""])
def test_sources_that_are_not_supported(kind: str) -> None:
    with pytest.raises(NotSupported, match=f"cache import type={kind}"):
        caching.sources([entry(kind, ref="a")], "")


def test_targets() -> None:
    assert [one.kind for one in caching.targets([entry("inline"), entry("registry", ref="a:1", mode="max")])] == [
        "inline",
        "registry",
    ]
    for wrong in (
        entry("local", dest="x"), entry("registry", ref="a", compression="zstd"), entry("inline", mode="max"),
        entry("registry", ref="a", **{"image-manifest": "false"}),
    ):  # fmt: skip
        with pytest.raises(NotSupported):
            caching.targets([wrong])
    with pytest.raises(InvalidArgument):
        caching.targets([entry("registry", ref="UPPER")])


def test_inline() -> None:
    assert caching.inline([], {"build-arg:BUILDKIT_INLINE_CACHE": "1"})
    assert caching.inline(caching.targets([entry("inline")]), {})
    assert not caching.inline(caching.targets([entry("registry", ref="a")]), {})


def test_modes() -> None:
    least, most = entry("registry", ref="a"), entry("registry", ref="b", mode="max")
    assert [caching.mode(caching.targets(wanted)) for wanted in ([entry("inline")], [least], [most, least])] == [
        "", "min", "max"
    ]  # fmt: skip
