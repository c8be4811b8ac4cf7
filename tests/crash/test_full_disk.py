"""A data root that is full: what needs room fails with Docker's words and leaves nothing, what does not goes on."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.crash.conftest import EMPTY, Image, bytes_of
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.leaks import left_behind, picture

SIZE = 48 << 20
FULL = "no space left on device"


@pytest.fixture
def engine(tmp_path: Path, base_archive: Path) -> Iterator[Engine]:
    """An engine whose data root is a small file system of its own."""
    disk, root, before = tmp_path / "disk", tmp_path / "engine", picture()
    (root / "data").mkdir(parents=True)
    with disk.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(disk)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(disk), str(root / "data")], check=False).returncode:
        pytest.skip("this host has no loop devices")
    engine = Engine(root)
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base_archive.read_bytes())
        yield engine
    finally:
        engine.destroy()
        subprocess.run(["umount", str(root / "data")], check=True)
    assert left_behind(before, engine.marks) == []


def free(engine: Engine) -> int:
    disk = os.statvfs(engine.root / "data")
    return disk.f_bavail * disk.f_frsize


def fill(engine: Engine, *, but: int) -> None:
    """Fill the disk up to some bytes."""
    filler = engine.root / "data/filler"
    filler.unlink(missing_ok=True)
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while (room := free(engine) - but) > 0:
            file.write(bytes(min(room, 1 << 20)))
            os.fsync(file.fileno())


OPERATIONS = {
    "pull": (3_000_000, 300_000, 0),
    "load": (3_000_000, 300_000, 0),
    "build": (3_000_000, 300_000, 0),
    "create": (0,),
}
"""With how many bytes left each is tried: of the layers, of the archive, of nothing at all."""


def said(engine: Engine, image: Image, docker: Cli, operation: str) -> str:
    """The error of an operation that has not room enough."""
    context = image.context.replace(image.remote.encode(), b"busybox".ljust(len(image.remote)))
    words: dict[str, tuple[tuple[str, ...], bytes | None]] = {
        "pull": (("pull", image.remote), None),
        "load": (("load",), image.archive),
        "build": (("build", "-t", "made:built", "-"), context),
        "create": (("create", "-v", "/volume", "busybox"), None),
    }
    arguments, stdin = words[operation]
    result = docker.result(*arguments, stdin=stdin, env={"DOCKER_BUILDKIT": "0"})
    assert result.returncode == 1
    return result.stderr


def stored(engine: Engine) -> dict[str, int]:
    """The bytes in each folder of the store."""
    engine.api.ok("POST", "/images/prune", filters={"label": ["none"]})  # waits for removals
    return {name: bytes_of(engine.root / "data" / name) for name in EMPTY}


def test_what_needs_room_fails_and_leaves_nothing(engine: Engine, image: Image, tmp_path: Path) -> None:
    docker = Cli("docker", engine.host, tmp_path)
    images, before = engine.api.ok("GET", "/images/json"), stored(engine)
    for operation, rooms in OPERATIONS.items():
        for room in rooms:
            fill(engine, but=room)
            assert FULL in said(engine, image, docker, operation), (operation, room)
            engine.api.ok("POST", "/build/prune", all="1")  # steps that went well are no leftovers
            assert (operation, room, stored(engine)) == (operation, room, before)
            assert engine.api.ok("GET", "/images/json") == images
            assert engine.api.ok("POST", "/system/check", quick="1")["Problems"] == []
    (engine.root / "data/filler").unlink()
    docker("load", stdin=image.archive)
    assert docker("run", "--rm", "made:loaded", "ls", "/layer2/9") == "/layer2/9"


def test_containers_go_on_and_end(engine: Engine, tmp_path: Path) -> None:
    docker = Cli("docker", engine.host, tmp_path)
    writer = "echo begun; sleep 1; dd if=/dev/zero of=/x bs=1M count=60 2>&1; echo code $?; exit 7"
    talker = "while [ ! -e /tmp/stop ]; do seq 1000; done; exit 8"
    docker("run", "-d", "--name", "talker", "--tmpfs", "/tmp", "busybox", "sh", "-c", talker)
    docker("run", "-d", "--name", "writer", "busybox", "sh", "-c", writer)
    assert docker("wait", "writer") == "7"
    fill(engine, but=0)
    assert FULL in docker("logs", "writer").lower()
    engine.kill()
    engine.start()  # which needs no room
    assert docker("inspect", "-f", "{{.State.Status}}", "talker") == "running"
    docker("exec", "talker", "touch", "/tmp/stop")
    assert docker("wait", "talker") == "8"
    assert docker("logs", "talker", timeout=60).startswith("1\n2\n3\n")
    docker("rm", "talker", "writer")
    (engine.root / "data/filler").unlink()
    assert docker("run", "--rm", "busybox", "echo", "fine") == "fine"
    assert engine.api.ok("POST", "/system/check")["Problems"] == []


def test_collection_by_how_full_the_disk_is(engine: Engine, image: Image, tmp_path: Path) -> None:
    docker = Cli("docker", engine.host, tmp_path)
    docker("create", "--name", "keeper", "busybox")
    fill(engine, but=SIZE // 2)
    engine.stop()
    engine.options = ("--image-gc-high", "60%", "--image-gc-low", "58%", "--image-gc-min-age", "0s")
    engine.start()
    docker("load", stdin=image.archive)
    eventually(lambda: docker("images", "--format", "{{.Repository}}") == "busybox")
    (engine.root / "data/filler").unlink()
    docker("load", stdin=image.archive)
    assert docker("run", "--rm", "made:loaded", "ls", "/layer2/9") == "/layer2/9"
    evictions = docker("events", "--since", "1", "--until", f"{time.time():.6f}", "--filter", "event=evict")
    assert evictions.count("image evict") == 1
