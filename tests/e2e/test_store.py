"""The store as a user sees it: what prunes leave, what `system df` says, what a daemon that was killed left frozen."""

import io
import tarfile
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

from pydock_client import Client

CACHE = (
    "FROM busybox\nRUN --mount=type=cache,target=/c head -c 300000 /dev/zero >/c/x\nRUN head -c 200000 /dev/zero >/y\n"
)


@pytest.fixture
def engine(own_daemon: Engine, base_archive: Path) -> Engine:
    """The module's engine with nothing but busybox."""
    own_daemon.clear()
    for path, query in (("/build/prune", {"all": "1"}), ("/images/prune", {"filters": {"dangling": ["false"]}})):
        own_daemon.api.ok("POST", path, **query)
    own_daemon.api.ok("POST", "/images/load", base_archive.read_bytes())
    return own_daemon


def build(engine: Engine, dockerfile: str, **query: str) -> None:
    """Build by the API alone."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        about = tarfile.TarInfo("Dockerfile")
        about.size = len(dockerfile)
        tar.addfile(about, io.BytesIO(dockerfile.encode()))
    answer = engine.api("POST", "/build", archive.getvalue(), **query)
    assert answer.status == 200
    assert "Successfully built" in answer.body


def bytes_of(folder: Path) -> int:
    """The bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() and not path.is_symlink())


def test_prune_of_all_leaves_an_empty_store(engine: Engine, tmp_path: Path):
    pydock = Cli("pydock", engine.host, tmp_path)
    build(engine, CACHE, t="made")
    pydock("run", "--name", "web", "made", "sh", "-c", "echo x >/x")
    pydock("commit", "web", "other")
    entries = engine.api.ok("GET", "/v1.45/system/df")["BuildCache"]
    assert [entry["Size"] >= 300_000 for entry in entries if entry["Type"] == "exec.cachemount"] == [True]
    pydock("rm", "web")
    pydock("system", "prune", "-af")
    data = engine.root / "data"
    assert {name: bytes_of(data / name) for name in ("content", "overlay", "volumes", "containers", "builds")} == {
        "content": 0, "overlay": 0, "volumes": 0, "containers": 0, "builds": 0}  # fmt: skip
    usage = engine.api.ok("GET", "/v1.45/system/df")
    assert (usage["LayersSize"], usage["Images"], usage["BuildCache"], usage["Volumes"]) == (0, [], [], [])


def test_the_build_cache_within_limits(engine: Engine, tmp_path: Path):
    pydock = Cli("pydock", engine.host, tmp_path)
    build(engine, CACHE)
    entries = engine.api.ok("GET", "/v1.48/system/df")["BuildCache"]
    total = sum(entry["Size"] for entry in entries if not entry["Shared"])
    assert engine.api.ok("POST", "/build/prune", **{"max-used-space": str(total)})["CachesDeleted"] is None
    pydock("builder", "prune", "-f", "--reserved-space", "250kB")
    left = engine.api.ok("GET", "/v1.48/system/df")["BuildCache"]
    assert {entry["ID"] for entry in left} < {entry["ID"] for entry in entries}
    assert sum(entry["Size"] for entry in left if not entry["Shared"]) <= 250_000 * 1.024
    with Client(engine.host) as client:
        assert client.prune_build_cache(all=True, min_free_space=1 << 62)["CachesDeleted"]
    assert engine.api.ok("GET", "/v1.48/system/df")["BuildCache"] == []


def test_shared_and_unique_sizes(engine: Engine, tmp_path: Path):
    pydock = Cli("pydock", engine.host, tmp_path)
    build(engine, "FROM busybox\nRUN head -c 100000 /dev/zero >/a\n", t="a")
    build(engine, "FROM a\nRUN head -c 50000 /dev/zero >/b\n", t="b")

    def sizes() -> dict[str, tuple[int, int]]:
        usage = engine.api.ok("GET", "/v1.45/system/df", type="image")
        found = {image["RepoTags"][0]: (image["Size"], image["SharedSize"]) for image in usage["Images"]}
        base = max(size for size, _ in found.values()) if found else 0
        assert usage["LayersSize"] >= base
        return found

    found = sizes()
    base = found["busybox:latest"][0]
    assert found == {"busybox:latest": (base, base), "a:latest": (base + 100000, base + 100000),
                     "b:latest": (base + 150000, base + 100000)}  # fmt: skip
    pydock("rmi", "a")
    pydock("builder", "prune", "-af")
    assert sizes() == {"busybox:latest": (base, base), "b:latest": (base + 150000, base)}
    pydock("rmi", "busybox")
    assert sizes() == {"b:latest": (base + 150000, 0)}


def test_killed_in_the_middle_of_a_commit(engine: Engine, tmp_path: Path):
    docker = Cli("docker", engine.host, tmp_path)
    docker("run", "-d", "--name", "web", "busybox", "sh", "-c", "head -c 60000000 /dev/urandom >/big; sleep 1000")
    eventually(lambda: docker("exec", "web", "stat", "-c", "%s", "/big") == "60000000")
    with docker.begin("commit", "web", "made"):
        eventually(lambda: engine.api.ok("GET", "/containers/web/json")["State"]["Paused"], every=0.005)
        engine.kill()
    engine.start()
    assert docker("inspect", "-f", "{{.State.Status}}", "web") == "running"
    assert docker("exec", "web", "echo", "alive") == "alive"
    docker("pause", "web")  # by a person, and so it stays
    engine.kill()
    engine.start()
    assert docker("inspect", "-f", "{{.State.Status}}", "web") == "paused"
    assert docker("images", "-aq", "--filter", "reference=made") == ""
