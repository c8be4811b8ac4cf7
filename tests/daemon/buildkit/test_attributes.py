"""Attributes of the frontend: from texts to options, and what is refused by name."""

import pytest

from pydock_daemon.buildkit import attributes
from pydock_daemon.images.model import Platform
from pydock_shared.errors import InvalidArgument, NotSupported


def test_options() -> None:
    made = attributes.options(
        {
            "filename": "sub/Other", "target": "t", "build-arg:A": "1", "label:l": "2", "no-cache": "",
            "image-resolve-mode": "pull", "platform": "linux/amd64", "add-hosts": "a=1.2.3.4,b=::1",
            "force-network-mode": "host", "shm-size": "1048576", "ulimit": "nofile=1:2,core=3",
            "cgroup-parent": "/x", "vcs:revision": "abc", "frontend.caps": "moby.buildkit.frontend.inputs",
        },
        [],
    )  # fmt: skip
    assert (made.dockerfile, made.target, made.arguments, made.labels) == ("sub/Other", "t", {"A": "1"}, {"l": "2"})
    assert (made.no_cache, made.pull, made.platform) == (True, True, Platform("linux", "amd64"))
    assert made.host_config == {
        "ExtraHosts": ["a:1.2.3.4", "b:::1"],
        "NetworkMode": "host",
        "ShmSize": 1 << 20,
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "core", "Soft": 3, "Hard": 3}],
        "CgroupParent": "/x",
    }


@pytest.mark.parametrize(
    ("given", "kind", "word"),
    [
        ({"attest:provenance": "mode=max"}, NotSupported, "attest:provenance"),
        ({"requestid": "frontend.outline"}, NotSupported, "requestid"),
        ({"platform": "a/b/c/d"}, InvalidArgument, "a/b/c/d"),
        ({"force-network-mode": "bridge"}, NotSupported, "bridge"),
        ({"image-resolve-mode": "x"}, InvalidArgument, "image-resolve-mode: x"),
        ({"shm-size": "1g"}, InvalidArgument, "shm-size"),
        ({"ulimit": "nofile=x"}, InvalidArgument, "nofile=x"),
    ],
)
def test_what_is_refused(given: dict[str, str], kind: type[Exception], word: str) -> None:
    with pytest.raises(kind, match=word):
        attributes.options(given, [])


@pytest.mark.parametrize("image", ["docker/dockerfile", "docker/dockerfile:1.7", "docker.io/docker/dockerfile:1-labs",
                                   "docker/dockerfile@sha256:" + "a" * 64])  # fmt: skip
def test_frontends_that_are_ours(image: str) -> None:
    attributes.check_syntax(image)
    attributes.frontend("gateway.v0", {"source": image})
    attributes.frontend("dockerfile.v0", {"build-arg:BUILDKIT_SYNTAX": image})


@pytest.mark.parametrize("image", ["", "me/docker/dockerfile", "docker/dockerfile2", "127.0.0.1:5/docker/dockerfile"])
def test_frontends_that_are_not(image: str) -> None:
    with pytest.raises(NotSupported):
        attributes.check_syntax(image)
