"""`system check`: what is damaged on purpose is found by name, and set right so far as it can be."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine

from pydock_client import Client
from pydock_runtime import linux


@pytest.fixture
def engine(own_daemon: Engine, base_archive: Path) -> Engine:
    """The module's engine with nothing but busybox."""
    own_daemon.clear()
    for path, query in (("/build/prune", {"all": "1"}), ("/images/prune", {"filters": {"dangling": ["false"]}})):
        own_daemon.api.ok("POST", path, **query)
    own_daemon.api.ok("POST", "/images/load", base_archive.read_bytes())
    return own_daemon


@pytest.fixture
def pydock(engine: Engine, tmp_path: Path) -> Cli:
    return Cli("pydock", engine.host, tmp_path)


def check(engine: Engine, **query: str) -> dict[str, str]:
    """The problems by what they are of, with what became of them."""
    answer = engine.api.ok("POST", "/system/check", **query)
    assert answer["Clean"] == all(problem["Repaired"] for problem in answer["Problems"])
    return {f"{problem['Kind']} {problem['ID']}": problem["Problem"] for problem in answer["Problems"]}


def database(engine: Engine, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(engine.root / "data/pydock.db")) as opened, opened:
        for statement in statements:
            opened.execute(statement)


def test_a_store_in_use_is_clean(engine: Engine, pydock: Cli, tmp_path: Path):
    pydock("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    pydock("run", "-d", "--name", "web", "-v", "data:/data", "-v", "memory:/m", "busybox", "sleep", "1000")
    pydock("cp", "web:/etc/passwd", str(tmp_path / "passwd"))
    pydock("create", "-v", "/anonymous", "busybox")
    pydock("commit", "web", "other")
    assert pydock("system", "check").endswith("clean")
    with Client(engine.host) as client:
        answer = client.check(quick=True)
    assert answer["Clean"]
    assert answer["Problems"] == []
    assert answer["Checked"] | {"BlobsSize": 0} == {
        "Deep": False, "Blobs": 6, "BlobsSize": 0, "Images": 2, "Layers": 2, "Containers": 2, "Volumes": 3,
    }  # fmt: skip


def test_a_damaged_blob_takes_its_image_along(engine: Engine, pydock: Cli, base_archive: Path):
    image = engine.api.ok("GET", "/images/busybox/json")
    blob = max((engine.root / "data/content/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    with blob.open("r+b") as file:
        file.seek(1000)
        file.write(b"rotten")
    assert check(engine, quick="1") == {}
    assert check(engine) == {f"blob sha256:{blob.name}": "is not what its digest says"}
    pydock.fails("system", "check", code=1)
    pydock("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    words = pydock.result("system", "check", "--repair")
    assert words.returncode == 1  # what a container runs on stays
    assert "is not whole: busybox:latest" in words.stdout
    assert "is being used by running container" in words.stdout
    pydock("exec", "web", "true")
    pydock("rm", "-f", "web")
    assert check(engine, repair="1") == {f"image {image['Id']}": "is not whole: busybox:latest"}
    assert check(engine) == {}
    assert pydock("images", "-aq") == ""
    engine.api.ok("POST", "/images/load", base_archive.read_bytes())
    assert pydock("run", "--rm", "busybox", "echo", "fine") == "fine"


def test_a_lost_layer_is_unpacked_again(engine: Engine, pydock: Cli):
    layer = next(path for path in (engine.root / "data/overlay/layers").iterdir() if path.name != "empty")
    subprocess.run(["rm", "-r", layer], check=True)
    found = check(engine, repair="1")
    assert sorted(name.split()[0] for name in found) == ["image", "layer"]
    assert check(engine) == {}
    assert pydock("run", "--rm", "busybox", "echo", "fine") == "fine"


def test_what_belongs_to_nothing_goes(engine: Engine, pydock: Cli):
    data = engine.root / "data"
    pydock("create", "--name", "web", "-v", "kept:/data", "busybox")
    strays = ["overlay/layers/aaaa", "overlay/containers/bbbb", "overlay/unpacking/c", "overlay/trash/d",
              "overlay/mounts/e", "volumes/f", "containers/0000"]  # fmt: skip
    for name in strays:
        (data / name / "inside").mkdir(parents=True)
    for name in ("content/ingest/g", f"content/blobs/sha256/{'0' * 64}"):
        (data / name).write_text("x")
        strays.append(name)
    linux.mount("tmpfs", str(data / "overlay/mounts/e"), "tmpfs", 0)
    wanted = {f"stray {name}": "belongs to nothing" for name in strays} | {
        "mount overlay/mounts/e": "is mounted for nothing"
    }
    assert check(engine, quick="1") == wanted
    printed = json.loads(pydock("system", "check", "-q", "-r", "--format", "json").splitlines()[0])
    assert printed["State"] == "repaired"
    assert check(engine) == {}
    assert not any((data / name).exists() for name in strays)
    assert pydock("volume", "ls", "-q") == "kept"


def test_files_of_containers_and_volumes_that_are_lost(engine: Engine, pydock: Cli):
    data = engine.root / "data"
    lost, run = (pydock("create", "--name", name, "-v", f"{name}:/d", "busybox", "true") for name in ("lost", "run"))
    for path in (data / "overlay/containers" / lost, data / "volumes/lost", data / "containers" / run):
        subprocess.run(["rm", "-r", path], check=True)
    engine.stop()
    database(engine, "insert into snapshots values ('nobody', '')", "delete from volumes where name = 'run'")
    engine.start()
    assert check(engine, repair="1") == {
        f"container {lost}": "lost: its files or layers are lost",
        f"container {run}": "run: its folder is gone",
        "volume lost": "its folder is gone; made anew it is empty",
        "volume run": "is unknown, and run has it",
    }
    assert check(engine) == {}
    assert pydock("ps", "-aq", "--no-trunc") == run
    pydock("start", "-a", "run")


def test_files_of_a_layer_that_have_changed(engine: Engine, pydock: Cli):
    layer = next(path for path in (engine.root / "data/overlay/layers").rglob("etc/passwd")).parents[1]
    chain = engine.api.ok("GET", "/images/busybox/json")["RootFS"]["Layers"][0]
    for path, damage, text in (
        ("etc/passwd", lambda file: file.write_bytes(bytes(file.stat().st_size)), "has other bytes"),
        ("bin/busybox", lambda file: os.truncate(file, 1000), "has 1000 bytes instead of [0-9]+"),
        ("etc/group", lambda file: file.unlink(), "is missing"),
    ):
        damage(layer / path)
        assert check(engine, quick="1") == {}
        found = check(engine)
        assert list(found) == [f"layer {chain}"]
        assert re.fullmatch(f"{path}: {text}" if path != "bin/busybox" else f"bin/.*: {text}", found[f"layer {chain}"])
        check(engine, repair="1")
        assert check(engine) == {}
        assert pydock("run", "--rm", "busybox", "cat", "/etc/passwd", "/etc/group")
    container = pydock("run", "-d", "busybox", "sleep", "1000")
    (layer / "etc/passwd").unlink()
    assert "runs on it: stop it first" in pydock.result("system", "check", "--repair").stdout
    pydock("rm", "-f", container)
    check(engine, repair="1")
    assert pydock("system", "check").endswith("clean")
