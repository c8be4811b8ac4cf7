"""Sizes of containers and volumes are what is there at the moment, though not every tree is walked each time."""

from collections.abc import Callable
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.http import Api

MANY = "mkdir $1/many; cd $1/many; seq 1500 | xargs touch"
AGAIN = "[ -e /many ] && head -c 50 /dev/zero >/many/3; exec sleep 1000"


def sizes(api: Api) -> tuple[int, int]:
    """Bytes of the only container and of the only volume."""
    usage = api.ok("GET", "/v1.45/system/df")
    (container,), (volume,) = usage["Containers"], usage["Volumes"]
    listed = api.ok("GET", "/containers/json", all="1", size="1")[0]["SizeRw"]
    assert container["SizeRw"] == listed == api.ok("GET", "/containers/writer/json", size="1")["SizeRw"]
    return container["SizeRw"], volume["UsageData"]["Size"]


def test_whoever_writes_is_noticed(docker: Cli, api: Api, tmp_path: Path) -> None:
    docker("run", "-d", "--name", "writer", "-v", "data:/data", "busybox", "sh", "-c", AGAIN)
    docker("exec", "writer", "sh", "-c", MANY, "sh", "")
    docker("exec", "writer", "sh", "-c", MANY, "sh", "/data")
    assert [sizes(api) for _ in range(2)] == [(0, 0)] * 2
    docker("exec", "writer", "sh", "-c", "head -c 1000 /dev/zero >/many/1; ln /many/1 /many/same")
    docker("exec", "writer", "sh", "-c", "head -c 500 /dev/zero >/data/many/1; truncate -s 9 /data/sparse")
    assert [sizes(api) for _ in range(2)] == [(1000, 509)] * 2
    (tmp_path / "in").write_text("1234567")
    for place in ("/many/2", "/data/many/2"):
        docker("cp", str(tmp_path / "in"), f"writer:{place}")
    assert [sizes(api) for _ in range(2)] == [(1007, 516)] * 2
    docker("kill", "writer")
    assert [sizes(api) for _ in range(2)] == [(1007, 516)] * 2
    for place in ("/many/4", "/data/many/4"):
        docker("cp", str(tmp_path / "in"), f"writer:{place}")
    assert [sizes(api) for _ in range(2)] == [(1014, 523)] * 2
    docker("start", "writer")
    docker("exec", "writer", "sh", "-c", "until [ -s /many/3 ]; do sleep 0.01; done")
    assert [sizes(api) for _ in range(2)] == [(1064, 523)] * 2


def test_what_the_host_writes_to_a_small_volume_is_seen_at_once(docker: Cli, api: Api) -> None:
    docker("create", "--name", "writer", "-v", "data:/data", "busybox")
    assert sizes(api) == (0, 0)
    (Path(docker("volume", "inspect", "-f", "{{.Mountpoint}}", "data")) / "x").write_text("1234567")
    assert sizes(api) == (0, 7)


def test_the_next_daemon_knows_what_cannot_have_changed(fresh_daemon: Callable[..., Engine], tmp_path: Path) -> None:
    engine = fresh_daemon()
    docker, api = Cli("docker", engine.host, tmp_path), engine.api
    docker("run", "-d", "--name", "lives", "busybox", "sleep", "1000")
    docker("run", "--name", "ended", "busybox", "sh", "-c", MANY, "sh", "")
    docker("exec", "lives", "sh", "-c", MANY, "sh", "")
    (tmp_path / "in").write_text("1234567")
    docker("cp", str(tmp_path / "in"), "ended:/many/1")

    def found() -> dict[str, int]:
        return {entry["Names"][0]: entry["SizeRw"] for entry in api.ok("GET", "/containers/json", all="1", size="1")}

    assert found() == {"/lives": 0, "/ended": 7}
    layers = [Path(docker("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", name)) for name in ("lives", "ended")]
    engine.stop()
    for layer in layers:  # as nobody may: who tells of it has walked
        (layer / "many/2").write_text("12")
    engine.start()
    assert found() == {"/lives": 0, "/ended": 7}
    docker("cp", str(tmp_path / "in"), "ended:/many/3")
    docker("exec", "lives", "sh", "-c", "head -c 1000 /dev/zero >/many/1")
    assert found() == {"/lives": 1002, "/ended": 16}
    for layer in layers:
        (layer / "many/2").write_text("123")
    engine.kill()
    engine.start()
    assert found() == {"/lives": 1003, "/ended": 17}
