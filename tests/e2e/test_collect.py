"""Automatic collection: above the high watermark what was used longest ago goes, down to the low one."""

import json
import random
import time
from pathlib import Path

import pytest
from tests.fixtures.archives import docker_archive, entry, tar
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

from pydock_client import Client

MEGABYTE = 1_000_000


def load(engine: Engine, name: str, **labels: str) -> None:
    """Load an image of a megabyte, which takes two: as a blob and unpacked."""
    layer = tar([entry(name, random.Random(name).randbytes(MEGABYTE))])
    settings = {"Cmd": ["x"], "Labels": labels}
    engine.api.ok("POST", "/images/load", docker_archive([layer], [f"{name}:latest"], config=settings))


def restart(engine: Engine, high: int, low: int) -> None:
    """Start the daemon again, with automatic collection."""
    engine.stop()
    engine.options = ("--image-gc-high", f"{high}b", "--image-gc-low", f"{low}b", "--image-gc-min-age", "0s")
    engine.start()


def names(engine: Engine) -> set[str]:
    """The images there are."""
    return {image["RepoTags"][0].removesuffix(":latest") for image in engine.api.ok("GET", "/images/json")}


def evicted(pydock: Cli) -> list[str]:
    """What went, in order, by the events."""
    span = ("--since", "1", "--until", f"{time.time():.6f}")
    lines = pydock("events", *span, "--filter", "event=evict", "--format", "json").splitlines()
    return [json.loads(line)["Actor"]["Attributes"]["name"].removesuffix(":latest") for line in lines]


@pytest.fixture
def pydock(engine: Engine, tmp_path: Path) -> Cli:
    return Cli("pydock", engine.host, tmp_path)


@pytest.fixture
def engine(own_daemon: Engine, base_archive: Path) -> Engine:
    """The module's engine with nothing but busybox, and without collection."""
    if own_daemon.options:
        own_daemon.stop()
        own_daemon.options = ()
        own_daemon.start()
    own_daemon.clear()
    for path, query in (("/build/prune", {"all": "1"}), ("/images/prune", {"filters": {"dangling": ["false"]}})):
        own_daemon.api.ok("POST", path, **query)
    own_daemon.api.ok("POST", "/images/load", base_archive.read_bytes())
    return own_daemon


def test_from_the_high_watermark_to_the_low_one(engine: Engine, pydock: Cli) -> None:
    pydock("create", "--name", "keeper", "busybox")
    for name in ("used", "pinned", "first", "second"):
        load(engine, name)
    load(engine, "labelled", **{"io.pydock.image.pin": ""})
    pydock("image", "pin", "pinned")
    pydock("create", "--name", "user", "used")
    pydock("rm", pydock("create", "first"))  # a use of it, so that `second` is the one of longest ago
    total = engine.api.ok("POST", "/system/check")["Checked"]["BlobsSize"]
    total += engine.api.ok("GET", "/v1.45/system/df", type="image")["LayersSize"]
    restart(engine, total + MEGABYTE, total + MEGABYTE // 2)
    load(engine, "third")
    eventually(lambda: evicted(pydock) == ["second"])
    assert names(engine) == {"busybox", "used", "pinned", "labelled", "first", "third"}

    restart(engine, 2, 1)
    load(engine, "fourth")
    eventually(lambda: names(engine) == {"busybox", "used", "pinned", "labelled"})
    assert evicted(pydock) == ["second", "first", "third", "fourth"]
    assert json.loads(pydock("image", "pin", "--format", "json"))["Target"] == "pinned:latest"
    with Client(engine.host) as client:
        assert [pin["Target"] for pin in client.images.pins()] == ["pinned:latest"]
        client.images.get("pinned").unpin()  # by its id, which is not how it was pinned
        pydock("image", "unpin", "pinned")
    load(engine, "fifth")
    eventually(lambda: names(engine) == {"busybox", "used", "labelled"})
    assert pydock("start", "-a", "keeper") == ""
    pydock.fails("image", "pin", "nobody", code=1, message="No such image: nobody:latest")


def test_the_build_cache_goes_too(engine: Engine, pydock: Cli, tmp_path: Path) -> None:
    steps = ["FROM busybox", "RUN --mount=type=cache,target=/c head -c 100000 /dev/zero >/c/x", "RUN echo >/y"]
    (tmp_path / "Dockerfile").write_text("\n".join(steps))
    pydock("build", "-q", "-t", "made", str(tmp_path))
    pydock("create", "--name", "user", "made")
    pydock("image", "pin", "busybox")
    restart(engine, 2, 1)
    load(engine, "x")
    eventually(lambda: engine.api.ok("GET", "/volumes")["Volumes"] == [])
    eventually(lambda: "x" not in names(engine))
    assert "cached mount /c" in evicted(pydock)
    assert pydock("run", "--rm", "made", "cat", "/y") == ""
