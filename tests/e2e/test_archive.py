"""Files into and out of containers by the API: where they land, what is refused, and that nothing leads out."""

import base64
import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest
import zstandard
from tests.fixtures.archives import Entry, device, entry, extract_names, folder, hard_link, symlink, tar
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Answer, Api, UnixConnection

SCRIPT = """
mkdir -p /src/sub /empty /tm; echo two >/src/two; ln -s two /src/link; ln -s /src /dir; ln -s /nope /dangling
chown 7:8 /src/two; chmod 4750 /src/two; ln /src/two /src/hard; mkfifo /src/pipe; ln -s loop /loop
echo from a tmpfs >/tm/x; touch /ready; exec sleep 1000
"""


@pytest.fixture(params=["running", "stopped"])
def web(request: pytest.FixtureRequest, api: Api, tmp_path: Path) -> str:
    """A container with a tree to copy, a volume, and a bind mount that is read-only; running or not any more."""
    bound = tmp_path / "bound"
    bound.mkdir()
    (bound / "host").write_text("host's")
    host = {"Binds": ["data:/vol", f"{bound}:/ro:ro"], "Tmpfs": {"/tm": ""}}
    body = {"Image": "busybox", "Cmd": ["sh", "-c", SCRIPT], "HostConfig": host}
    api.ok("POST", "/containers/create", body, name="web")
    api.ok("POST", "/containers/web/start")
    eventually(lambda: api("HEAD", "/containers/web/archive", path="/ready").status == 200)
    if request.param == "stopped":
        api.ok("POST", "/containers/web/kill")
        api.ok("POST", "/containers/web/wait")
    return str(request.param)


def inspect(api: Api) -> Any:
    return api.ok("GET", "/containers/web/json")


def get(api: Api, path: str, name: str = "web") -> bytes:
    """The archive of a path, raw."""
    with contextlib.closing(UnixConnection(api.socket_path)) as connection:
        connection.request("GET", f"/containers/{name}/archive?path={path}")
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return data


def names(api: Api, path: str, name: str) -> list[str]:
    """What is in a folder of a container; nothing where there is none."""
    try:
        return [found.rpartition("/")[2] for found in extract_names(get(api, path, name))]
    except AssertionError:
        return []


def about(api: Api, path: str) -> Any:
    """What HEAD says about a path."""
    answer = api("HEAD", "/containers/web/archive", path=path)
    assert answer.status == 200, answer
    return json.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))


def put(api: Api, archive: list[Entry] | bytes, path: str, name: str = "web", **query: str) -> Answer:
    data = archive if isinstance(archive, bytes) else tar(archive)
    return api("PUT", f"/containers/{name}/archive", data, path=path, **query)


def content(api: Api, path: str) -> bytes:
    """The bytes of one file of the container."""
    with tarfile.open(fileobj=io.BytesIO(get(api, path))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file
        return file.read()


ABOUT = [
    ("/src", "src", 1 << 31 | 0o755, ""),
    ("/src/.", ".", 1 << 31 | 0o755, ""),
    ("src/two", "two", 1 << 23 | 0o750, ""),
    ("/src/link", "link", 1 << 27 | 0o777, "/src/two"),
    ("/dir", "dir", 1 << 27 | 0o777, "/src"),
    ("/dir/", "dir", 1 << 31 | 0o755, ""),
    ("/dangling", "dangling", 1 << 27 | 0o777, "/nope"),
    ("/src/pipe", "pipe", 1 << 25 | 0o644, ""),
    ("/tmp", "tmp", 1 << 31 | 1 << 20 | 0o777, ""),
    ("/../../vol", "vol", 1 << 31 | 0o755, ""),
    ("/", "/", 1 << 31 | 0o755, ""),
]


def test_what_a_path_is(api: Api, web: str):
    for path, name, mode, link in ABOUT:
        found = about(api, path)
        assert (found["name"], found["mode"], found["linkTarget"]) == (name, mode, link), path
    assert about(api, "/src/two")["size"] == 4
    for path in ("/nope", "/dangling/", "/nope/x"):
        assert api("HEAD", "/containers/web/archive", path=path).status == 404
        answer = api("GET", "/containers/web/archive", path=path)
        assert (answer.status, answer.body) == (
            404,
            {"message": f"Could not find the file {path} in container web"},
        )
    id_ = api.ok("GET", "/containers/web/json")["Id"]
    for method in ("GET", "PUT"):
        answer = api(method, f"/containers/{id_[:20]}/archive", path="/nope")
        assert answer.body == {"message": f"Could not find the file /nope in container {id_[:20]}"}
    assert api("GET", "/containers/web/archive").status == 400
    for path in ("/src/two/", "/loop", "/loop/x"):
        assert api("GET", "/containers/web/archive", path=path).status in (400, 500)


def test_what_comes_out(api: Api, web: str):
    with tarfile.open(fileobj=io.BytesIO(get(api, "/src"))) as archive:
        found = {member.name: member for member in archive}
        assert list(found) == ["src", "src/hard", "src/link", "src/pipe", "src/sub", "src/two"]
        assert (found["src/hard"].mode, found["src/hard"].uid, found["src/hard"].gid) == (0o4750, 7, 8)
        assert (found["src/two"].type, found["src/two"].linkname) == (tarfile.LNKTYPE, "src/hard")
        assert found["src/link"].linkname == "two"
    assert extract_names(get(api, "/src/.")) == [".", "./hard", "./link", "./pipe", "./sub", "./two"]
    assert extract_names(get(api, "/dir")) == ["dir"]
    assert extract_names(get(api, "/dir/"))[:2] == ["dir", "dir/hard"]
    assert content(api, "/ro/host") == b"host's"
    assert b"localhost" in content(api, "/etc/hosts")
    whole = extract_names(get(api, "/"))
    assert {"/src/two", "/ro/host", "/proc"} <= set(whole)
    assert [name for name in whole if name.startswith(("/proc/", "/sys/"))] == []


def test_a_tmpfs_is_there_while_the_container_runs(api: Api, web: str, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("dockerd does not look into a tmpfs")
    assert names(api, "/tm", "web") == (["tm", "x"] if web == "running" else ["tm"])


PACKED = [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress]


def test_compressions(api: Api, web: str):
    for number, pack in enumerate(PACKED):
        data = pack(tar([entry(f"f{number}", b"x" * 5000)]))
        assert put(api, data, "/tmp").status == 200
        assert content(api, f"/tmp/f{number}") == b"x" * 5000
    assert put(api, b"", "/tmp").status == 200


def test_where_it_goes_in(api: Api, web: str):
    assert put(api, [entry("a", b"1"), entry("deep/er/b", b"2", uid=5, gid=6, mode=0o600)], "/dir").status == 200
    with tarfile.open(fileobj=io.BytesIO(get(api, "/src/deep"))) as archive:
        facts = [(member.name, member.uid, member.gid, member.mode) for member in archive]
        assert facts == [("deep", 0, 0, 0o755), ("deep/er", 0, 0, 0o755), ("deep/er/b", 5, 6, 0o600)]
    assert put(api, [entry("in-volume", b"3")], "/vol").status == 200
    mountpoint = api.ok("GET", "/volumes/data")["Mountpoint"]
    assert Path(mountpoint, "in-volume").read_bytes() == b"3"
    assert put(api, [folder("src", mode=0o700)], "/").status == 200
    assert about(api, "/src")["mode"] == 1 << 31 | 0o700
    assert about(api, "/src/a")["size"] == 1


def test_what_replaces_what(api: Api, web: str):
    keep = {"noOverwriteDirNonDir": "true"}
    answer = put(api, [entry("src", b"x")], "/", **keep)
    assert (answer.status >= 400, 'cannot overwrite directory "/src" with non-directory "/"') == (True, message(answer))
    answer = put(api, [folder("passwd")], "/etc", **keep)
    expected = 'cannot overwrite non-directory "/etc/passwd" with directory "/etc"'
    assert (answer.status >= 400, message(answer)) == (True, expected)
    assert put(api, [entry("src", b"now a file")], "/").status == 200
    assert content(api, "/src") == b"now a file"
    assert put(api, [folder("src"), entry("src/x", b"1")], "/").status == 200
    assert names(api, "/src", "web") == ["src", "x"]


def message(answer: Answer) -> str:
    return str(answer.body["message"])


def test_what_is_refused(api: Api, web: str):
    assert message(put(api, [entry("x")], "/ro")) == "mounted volume is marked read-only"
    assert "read-only file system" in message(put(api, [entry("ro/x")], "/"))
    assert message(put(api, [entry("x")], "/etc/passwd")) == "extraction point is not a directory"
    assert put(api, [entry("x")], "/nope").status == 404
    assert put(api, [entry("x")], "/dangling").status == 404
    assert put(api, [entry("x")], "/loop").status in (400, 500)
    assert put(api, b"no archive" * 100, "/tmp").status in (400, 500)
    assert put(api, [entry("x")], "/", name="nope").status == 404
    assert message(put(api, [entry("../x")], "/tmp")) == '"../x" is outside of "/tmp"'


def test_archives_that_want_out(api: Api, web: str, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    inside = str(outside).lstrip("/")
    hostile: list[list[Entry]] = [
        [entry(f"{outside}/kept", b"bad")],
        [entry(f"../../../../../../../..{outside}/kept", b"bad")],
        [symlink("l", str(outside)), entry("l/kept", b"bad")],
        [symlink("l", f"../../../../../../..{outside}"), entry("l/kept", b"bad")],
        [hard_link("h", f"{outside}/kept"), entry("h", b"bad")],
        [hard_link("h", f"../../../../..{outside}/kept"), entry("h", b"bad")],
        [symlink("/a", "/proc/1/root"), entry(f"a/{inside}/kept", b"bad")],
        [symlink("/a", "/proc/self/root"), entry(f"a/{inside}/kept", b"bad")],
        [symlink("/a", "/proc/self/cwd"), entry("a/x", b"bad")],
        [device("disk", 8, 0, tarfile.BLKTYPE), entry("disk", b"bad")],
    ]
    for entries in hostile:
        assert put(api, entries, "/tmp").status in (200, 400, 404, 500)
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    assert about(api, "/tmp/disk")["size"] == 3  # the device was replaced and not written to


def test_read_only_root(api: Api):
    host = {"ReadonlyRootfs": True, "Binds": ["data:/vol"]}
    api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "99"], "HostConfig": host}, name="web")
    for _ in ("created", "running"):
        assert message(put(api, [entry("x")], "/tmp")) == "container rootfs is marked read-only"
        assert put(api, [entry("x", b"1")], "/vol").status == 200
        api.ok("POST", "/containers/web/start")


def test_owner_of_the_container(api: Api, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("dockerd looks the user up by a program of its host")
    api.ok("POST", "/containers/create", {"Image": "busybox", "User": "7:8"}, name="web")
    put(api, [entry("mine", uid=1)], "/tmp", copyUIDGID="true")
    with tarfile.open(fileobj=io.BytesIO(get(api, "/tmp/mine"))) as archive:
        assert [(member.uid, member.gid) for member in archive] == [(7, 8)]


def test_a_created_container_has_its_volume_filled(api: Api):
    api.ok("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Binds": ["data:/etc"]}}, name="web")
    assert "passwd" in names(api, "/etc", "web")
    assert put(api, [entry("new", b"1")], "/etc").status == 200
    assert (Path(api.ok("GET", "/volumes/data")["Mountpoint"]) / "new").exists()


RACE = """
mkdir -p /d/x /real/x; echo inside >/real/x/file
while :; do mv /d /e; ln -s {out} /d; rm /d; mv /e /d; mv /d/x /d/y; ln -s {out} /d/x; rm /d/x; mv /d/y /d/x; done
"""


def test_a_race_leads_nowhere(api: Api, cli: Cli, tmp_path: Path):
    """A process swaps folders for links to the host's path while archives go in and out."""
    if cli.name == "pydock":
        pytest.skip("the same for both")
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    climbing = f"{'../' * 12}{str(outside).lstrip('/')}"
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", RACE.format(out=climbing))
    for _ in range(15):
        assert put(api, [entry("x/new", b"1"), entry("x/secret", b"2")], "/d").status in (200, 400, 404, 500)
        with contextlib.suppress(AssertionError):
            assert b"of the host" not in get(api, "/d")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "of the host"


@contextlib.contextmanager
def uploading(api: Api, path: str) -> Iterator[UnixConnection]:
    """A PUT of which only the first half has been sent."""
    connection = UnixConnection(api.socket_path)
    with contextlib.closing(connection):
        connection.putrequest("PUT", f"/containers/web/archive?path={path}")
        connection.putheader("Content-Length", str(10 << 20))
        connection.endheaders()
        connection.send(tar([entry("half", bytes(1 << 20))])[:700_000])
        yield connection


def test_a_client_that_leaves_holds_nothing_up(api: Api, web: str, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("dockerd lets nobody look while something comes in")
    with uploading(api, "/tmp"):
        eventually(lambda: web == "stopped" or "half" in names(api, "/tmp", "web"))
    if web == "running":
        api.ok("POST", "/containers/web/kill")
        api.ok("POST", "/containers/web/wait")
    api.ok("POST", "/containers/web/start")
    assert inspect(api)["State"]["Running"]


def test_a_download_that_nobody_reads_delays_no_restart(api: Api, cli: Cli, daemon: Engine):
    if cli.name == "pydock" or not isinstance(daemon, Engine):
        pytest.skip("dockerd waits for the reader")
    cli("run", "-d", "--name", "web", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=8; exec sleep 1000")
    eventually(lambda: about_size(api, "/big") == 8 << 20)
    with contextlib.closing(UnixConnection(api.socket_path)) as connection:
        connection.request("GET", "/containers/web/archive?path=/big")
        assert connection.getresponse().read(1000)
        cli("restart", "-t", "0", "web")
        assert content(api, "/etc/passwd")


def about_size(api: Api, path: str) -> int:
    answer = api("HEAD", "/containers/web/archive", path=path)
    return about(api, path)["size"] if answer.status == 200 else -1


def test_paused(api: Api, cli: Cli):
    cli("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    cli("pause", "web")
    assert put(api, [entry("x", b"1")], "/tmp").status == 200
    assert content(api, "/tmp/x") == b"1"


def test_docker_py(client: docker_py.DockerClient):
    container = client.containers.create("busybox", name="web")
    assert container.put_archive("/tmp", tar([entry("f", b"words")]))
    pieces, found = container.get_archive("/tmp/f")
    assert (found["name"], found["size"]) == ("f", 5)
    assert extract_names(b"".join(pieces)) == ["f"]
    assert [change["Path"] for change in container.diff()] == ["/tmp", "/tmp/f"]


def test_export(api: Api, web: str):
    api.ok("POST", "/containers/web/rename", name="other")
    with contextlib.closing(UnixConnection(api.socket_path)) as connection:
        connection.request("GET", "/containers/other/export")
        found = extract_names(connection.getresponse().read())
    assert {"src/two", "vol", "ro", "bin/busybox"} <= set(found)
    assert [name for name in found if name.startswith(("vol/", "ro/", "proc/", "tm/"))] == []


def test_events(api: Api, web: str):
    put(api, [entry("x")], "/tmp")
    get(api, "/tmp/x")
    filters = {"container": [inspect(api)["Id"]], "event": ["archive-path", "extract-to-dir"]}
    answer = api("GET", "/events", since="1", until=f"{time.time():.6f}", filters=json.dumps(filters))
    lines = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    found = [json.loads(line)["Action"] for line in lines.splitlines()]
    assert found[-2:] == ["extract-to-dir", "archive-path"]


def test_a_device_is_no_target(cli: Cli, tmp_path: Path):
    """A file would be put in its place: in that of /dev/null for everybody on the host."""
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    cli("create", "--name", "source", "busybox")
    message = f'invalid output path: "{tmp_path}/null" must be a directory or a regular file: got a device'
    cli.fails("cp", "source:/etc/passwd", str(tmp_path / "null"), code=1, message=message)
    assert (tmp_path / "null").is_char_device()
