"""BuildKit's protocols, by a client in Python."""

import asyncio
import base64
import functools
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.buildkit import GO_FOLDER, Files, connected, dial, told, write
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api, UnixConnection
from tests.fixtures.registry import serving

from pydock_daemon.buildkit.messages import CLASSES, make

pytestmark = pytest.mark.root
MOBY = {"Exporter": "moby"}


def solved(
    daemon: Engine, files: Files, given: dict[str, str] | None = None, *, key: str = "", **request: Any
) -> tuple[dict[str, str], list[Any]]:
    """Build with the client in Python."""

    async def run() -> tuple[dict[str, str], list[Any]]:
        async with asyncio.timeout(25), connected(daemon.host, files, key) as client:
            return await client.solve(given or {}, **(MOBY | request))

    return asyncio.run(run())


def fails(daemon: Engine, files: Files, given: dict[str, str] | None = None, **request: Any) -> str:
    with pytest.raises(BaseExceptionGroup) as caught:
        solved(daemon, files, given, **request)
    flat: list[BaseException] = []
    pending: list[BaseException] = [caught.value]
    while pending:
        error = pending.pop()
        pending += error.exceptions if isinstance(error, BaseExceptionGroup) else []
        flat += [] if isinstance(error, BaseExceptionGroup) else [error]
    return str(flat[0])


def folders(path: Path, files: dict[str, str]) -> Files:
    write(path, files)
    return Files({"context": path, "dockerfile": path})


@pytest.mark.parametrize("bridge", [True, False])
def test_an_image(daemon: Engine, api: Api, docker: Cli, tmp_path: Path, bridge: bool) -> None:
    given = folders(tmp_path, {
        "Dockerfile": "FROM busybox\nARG WHO\nCOPY a/ /a/\nRUN echo hello $WHO | tee /said\nLABEL x=1\n",
        "a/one": "1", "a/two": "2", "unused": "3",
    })  # fmt: skip
    attributes = {"build-arg:WHO": f"you{bridge}", "label:y": "2"}
    answer, status = solved(daemon, given, attributes, bridge=bridge, ExporterAttrs={"name": "bk:1,bk:2"})
    image = api.ok("GET", "/images/bk:2/json")
    assert answer["containerimage.digest"] == answer["containerimage.config.digest"] == image["Id"]
    assert answer["image.name"] == "docker.io/library/bk:1,docker.io/library/bk:2"
    assert image["Config"]["Labels"] == {"x": "1", "y": "2"}
    assert docker("run", "--rm", "bk:1", "cat", "/a/one", "/a/two", "/said") == f"12hello you{bridge}"
    assert sorted(given.sent) == ["Dockerfile", "a/one", "a/two"]
    names = {vertex.digest: vertex.name for message in status for vertex in message.vertexes}
    assert "[2/3] COPY a/ /a/" in names.values()
    logs = b"".join(log.msg for message in status for log in message.logs if names[log.vertex].startswith("[3/3] RUN"))
    assert logs.decode() == f"hello you{bridge}\n"
    assert {vertex.name for vertex in ended(status)} == set(names.values())


def test_what_is_told_of_stages(daemon: Engine, tmp_path: Path) -> None:
    text = (
        "FROM busybox AS slow\nARG N\nRUN sleep 0.3; exit $N\n"
        "FROM busybox\nWORKDIR /w\nCOPY --from=slow /bin/true /w/\n"
    )
    given = folders(tmp_path, {"Dockerfile": text})
    _, status = solved(daemon, given, {"build-arg:N": "0"})
    times = {vertex.name: (time_of(vertex.started), time_of(vertex.completed)) for vertex in ended(status)}
    assert list(times)[-1] == "exporting to image"
    assert times["[slow 2/2] RUN sleep 0.3; exit 0"][1] <= times["[stage-1 3/3] COPY --from=slow /bin/true /w/"][0]
    solving = functools.partial(fails, daemon, given, {"build-arg:N": "4"})
    assert 'process "/bin/sh -c sleep 0.3; exit $N" did not complete successfully: exit code: 4' in solving()


def ended(status: list[Any]) -> list[Any]:
    return [vertex for message in status for vertex in message.vertexes if vertex.HasField("completed")]


def time_of(stamp: Any) -> int:
    return int(stamp.seconds) * 10**9 + int(stamp.nanos)


def test_what_was_sent_is_not_sent_again(daemon: Engine, tmp_path: Path) -> None:
    files = {"Dockerfile": "FROM busybox\nCOPY . /c/\n", "a": "1", "b": "2", "big": "x" * 200_000}
    first = folders(tmp_path, files)
    solved(daemon, first, key="k:1")
    assert sorted(first.sent) == ["Dockerfile", "Dockerfile", "a", "b", "big"]
    (tmp_path / "b").write_text("3")
    second = Files(first.folders)
    _, status = solved(daemon, second, key="k:1")
    assert sorted(second.sent) == ["Dockerfile", "b"]
    cached = {vertex.name for message in status for vertex in message.vertexes if vertex.cached}
    assert "[2/2] COPY . /c/" not in cached
    _, status = solved(daemon, Files(first.folders), key="k:1")
    cached = {vertex.name for message in status for vertex in message.vertexes if vertex.cached}
    assert "[2/2] COPY . /c/" in cached


def test_what_is_kept_is_build_cache(daemon: Engine, api: Api, tmp_path: Path) -> None:
    api.ok("POST", "/build/prune", all="1")
    before = api.ok("GET", "/v1.45/system/df")["BuildCache"]  # contexts that are begun stay for a while
    solved(daemon, folders(tmp_path, {"Dockerfile": "FROM busybox\nCOPY a /c/\n", "a": "4" * 1000}), key="k:2")
    after = api.ok("GET", "/v1.45/system/df")["BuildCache"]
    copies = [entry for entry in after if entry["Type"] == "source.local" and entry not in before]
    assert [entry["InUse"] for entry in copies] == [False]
    assert copies[0]["Size"] >= 1000
    pruned = api.ok("POST", "/build/prune", all="1")
    assert copies[0]["ID"] in pruned["CachesDeleted"]
    assert pruned["SpaceReclaimed"] >= 1000
    again = Files({"context": tmp_path, "dockerfile": tmp_path})
    solved(daemon, again, key="k:2")
    assert again.sent == ["Dockerfile", "a"]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b"12345678", b"9"], "has changed while it was read"),
        ([b"1234"], "has changed while it was read"),
        ([b"12345678"], ""),
    ],
)
def test_a_file_of_another_size(daemon: Engine, tmp_path: Path, pieces: list[bytes], message: str) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\nCOPY a /c/\n", "a": "12345678"})
    given.gives = lambda name: pieces if name == "a" else [(tmp_path / name).read_bytes()]
    if message:
        assert message in fails(daemon, given)
    else:
        solved(daemon, given)


def test_what_is_ignored(daemon: Engine, api: Api, docker: Cli, tmp_path: Path) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\nCOPY . /c/\n", ".dockerignore": "# no\n*.o\n!keep.o\n"})
    solved(daemon, given)
    assert given.asked[-1]["exclude-patterns"] == ["*.o", "!keep.o"]
    assert "followpaths" not in given.asked[-1]
    assert given.asked[1]["followpaths"] == [".dockerignore"]


@pytest.mark.parametrize(
    ("files", "attributes", "message"),
    [
        ({}, {}, "failed to read dockerfile: open Dockerfile: no such file or directory"),
        ({"Dockerfile": "FROM busybox\nRUN exit 7\n"}, {},
         'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7'),
        ({"Dockerfile": "FROM busybox\nFOO\n"}, {}, "dockerfile parse error on line 2: unknown instruction: FOO"),
        ({"Dockerfile": "FROM busybox\n"}, {"target": "x"}, 'target stage "x" could not be found'),
        ({"Dockerfile": "# syntax=me/mine:1\nFROM busybox\n"}, {}, "the frontend 'me/mine:1' is not supported"),
        ({"Dockerfile": "FROM busybox\n"}, {"attest:sbom": ""}, "the build attribute attest:sbom is not supported"),
    ],
)  # fmt: skip
def test_what_is_wrong(
    daemon: Engine, tmp_path: Path, files: dict[str, str], attributes: dict[str, str], message: str
) -> None:
    assert message in fails(daemon, folders(tmp_path, files), attributes)


def test_what_is_refused(daemon: Engine, tmp_path: Path) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\n"})
    assert "the exporter 'x' is not supported" in fails(daemon, given, Exporter="x")
    assert "the frontend 'y' is not supported" in fails(daemon, given, frontend="y")
    assert "the frontend 'a/b' is not supported" in fails(daemon, given, {"source": "a/b"}, frontend="gateway.v0")
    solved(daemon, given, {"source": "docker/dockerfile:1"}, frontend="gateway.v0")
    assert "security.insecure is not allowed" in fails(daemon, given, Entitlements=["security.insecure"])


@pytest.mark.parametrize(
    ("name", "inside"), [("../../out", "/c/out"), ("/etc/passwd", "/c/etc/passwd"), ("a/../../../out", "/c/out")]
)
def test_a_client_that_leads_out(daemon: Engine, docker: Cli, tmp_path: Path, name: str, inside: str) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\nCOPY . /c/\n"})

    def tell(root: Path) -> list[Any]:
        """Tell of a Dockerfile that is there, and of one file elsewhere."""
        evil = told(root / "Dockerfile", "Dockerfile")
        there = told(root / "Dockerfile", "Dockerfile")
        evil.path, evil.size = name, 0
        return [there, evil]

    given.tell = tell
    solved(daemon, given, ExporterAttrs={"name": "evil:1"})
    assert docker("run", "--rm", "evil:1", "find", "/c", "-size", "0", "-type", "f") == inside


def test_a_client_that_goes(daemon: Engine, api: Api, tmp_path: Path) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\nRUN echo going-$(date +%s%N); sleep 1000\n"})

    async def run() -> None:
        async with connected(daemon.host, given) as client:
            solving = asyncio.create_task(client.solve({}, **MOBY))
            while not any(one["State"] == "running" for one in await asyncio.to_thread(building, api)):
                assert not solving.done()
                await asyncio.sleep(0.05)
            solving.cancel()
            await asyncio.wait([solving])

    asyncio.run(run())
    eventually(lambda: not building(api))


@pytest.mark.parametrize("path", ["/grpc", "/session"])
def test_what_is_no_http2(daemon: Engine, api: Api, path: str) -> None:
    async def run() -> None:
        with await dial(daemon.host, path, Uuid="garbage") as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, b"no HTTP/2 at all\r\n\r\n" * 100)
            async with asyncio.timeout(10):
                while path == "/grpc" and await loop.sock_recv(sock, 1 << 16):
                    pass  # it tells of its settings, and hangs up

    asyncio.run(run())
    assert api("POST", path).status == 400
    assert "Traceback" not in daemon.log.read_text()


def building(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.ok("GET", "/containers/json", all=1, filters='{"label":["io.pydock.build"]}')
    return found


def test_secrets(daemon: Engine, docker: Cli, tmp_path: Path) -> None:
    given = folders(tmp_path, {
        "Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=s,required --mount=type=secret,id=none "
        "wc -c </run/secrets/s >/size && test ! -e /run/secrets/none\n",
    })  # fmt: skip
    assert "secret s: not found" in fails(daemon, given)
    given.secrets["s"] = b"twelve bytes"
    solved(daemon, given, ExporterAttrs={"name": "secret:1"})
    assert docker("run", "--rm", "secret:1", "sh", "-c", "cat /size; ls /run/secrets 2>/dev/null; true") == "12"


def test_an_agent(daemon: Engine, tmp_path: Path) -> None:
    text = 'FROM busybox\nRUN --mount=type=ssh,id=mine,required test -S "$SSH_AUTH_SOCK"\n'
    given = folders(tmp_path, {"Dockerfile": text})
    assert "unset ssh forward key mine" in fails(daemon, given)
    given.agents = ("mine",)
    solved(daemon, given)


def test_named_contexts(daemon: Engine, docker: Cli, tmp_path: Path) -> None:
    given = folders(tmp_path / "a", {
        "Dockerfile": "FROM base\nCOPY --from=other x /x\nRUN --mount=from=other,target=/o cat /o/x /o/sub/y >/both\n",
    })  # fmt: skip
    given.folders["other"] = write(tmp_path / "b", {"x": "1", "sub/y": "2", "z": "no", ".dockerignore": "z\n"})
    named = {"context:base": "docker-image://busybox", "context:other": "local:other"}
    solved(daemon, given, named, ExporterAttrs={"name": "named:1"})
    assert docker("run", "--rm", "named:1", "cat", "/x", "/both") == "112"
    assert [one for one in given.asked if one["dir-name"] == ["other"]][-1]["exclude-patterns"] == ["z"]
    assert "oci-layout://x" in fails(daemon, given, {"context:base": "oci-layout://x"})


def test_hard_links_and_other_files(daemon: Engine, docker: Cli, tmp_path: Path) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox\nCOPY d /d\n", "d/a": "1"})
    (tmp_path / "d/b").hardlink_to(tmp_path / "d/a")
    (tmp_path / "d/link").symlink_to("a")
    (tmp_path / "d/a").chmod(0o4750)

    def tell(root: Path) -> list[Any]:
        found = [told(path, str(path.relative_to(root))) for path in sorted(root.rglob("*"))]
        [second] = [one for one in found if one.path == "d/b"]
        second.linkname = "d/a"
        return found

    given.tell = tell
    solved(daemon, given, ExporterAttrs={"name": "links:1"})
    script = "stat -c '%h %a' /d/a; readlink /d/link; cat /d/b"
    assert docker("run", "--rm", "links:1", "sh", "-c", script).split() == ["2", "4750", "a", "1"]
    assert "d/b" not in given.sent


def test_a_base_that_is_elsewhere(daemon: Engine, docker: Cli, tmp_path: Path) -> None:
    """It is fetched before the context, whose files its triggers may need."""
    given = folders(tmp_path / "a", {"Dockerfile": "FROM busybox\nONBUILD COPY a /\n"})
    with serving(tmp_path / "registry") as registry:
        name = registry.name("triggers:1")
        solved(daemon, given, ExporterAttrs={"name": name})
        docker("push", name)
        docker("rmi", name)
        given = folders(tmp_path / "b", {"Dockerfile": f"FROM {name}\nCOPY b /\n", "a": "1", "b": "2", "c": "3"})
        _, status = solved(daemon, given, ExporterAttrs={"name": "triggered:1"})
    assert given.asked[-1]["followpaths"] == ["a", "b"]
    assert f"[internal] load metadata for {name}" in {vertex.name for vertex in ended(status)}
    assert docker("run", "--rm", "triggered:1", "cat", "/a", "/b") == "12"


def test_a_cache_in_the_image(daemon: Engine, api: Api, tmp_path: Path) -> None:
    given = folders(tmp_path, {"Dockerfile": "FROM busybox AS one\nRUN echo once >/once\n"})
    inline = make("Caches", Exports=[make("CacheEntry", Type="inline")])
    solved(daemon, given, Cache=inline, ExporterAttrs={"name": "cached:1"})
    api.ok("POST", "/build/prune", all="1")
    before = [make("CacheEntry", Type="registry", Attrs={"ref": "cached:1"})]
    _, status = solved(daemon, given, Cache=make("Caches", Imports=before))
    assert "[one 2/2] RUN echo once >/once" in {vertex.name for vertex in ended(status) if vertex.cached}
    _, status = solved(daemon, given, {"no-cache": "one"})
    assert not [vertex.name for vertex in ended(status) if vertex.cached]
    refused = make("Caches", Exports=[make("CacheEntry", Type="gha")])
    assert "the cache export type=gha is not supported" in fails(daemon, given, Cache=refused)


FROM_SCRATCH = {"Dockerfile": "FROM scratch\nCOPY a /deep/er/a\nCOPY b /b\n", "a": "1" * 100_000, "b": "2"}


def test_files_of_a_result(daemon: Engine, api: Api, tmp_path: Path) -> None:
    before = {image["Id"] for image in api.ok("GET", "/images/json")}
    given = folders(tmp_path, FROM_SCRATCH)
    given.takes_folder = True
    solved(daemon, given, Exporter="local")
    files = {name: data for name, (told, data) in given.into.items() if not told.mode & GO_FOLDER}
    assert files == {"deep/er/a": b"1" * 100_000, "b": b"2"}
    assert {image["Id"] for image in api.ok("GET", "/images/json")} == before


def test_archives_of_a_result(daemon: Engine, docker: Cli, tmp_path: Path) -> None:
    given = folders(tmp_path, FROM_SCRATCH)
    solved(daemon, given, Exporter="tar")
    with tarfile.open(fileobj=io.BytesIO(given.received)) as found:
        assert {member.name for member in found if member.isfile()} == {"deep/er/a", "b"}
    given.received = b""
    answer, _ = solved(daemon, given, Exporter="docker", ExporterAttrs={"name": "sent:1"})
    assert "sent:1" in docker("load", stdin=given.received)
    assert answer["containerimage.digest"] == docker("image", "inspect", "-f", "{{.Id}}", "sent:1")
    with pytest.raises(BaseExceptionGroup) as caught:
        solved(daemon, given, Exporter="oci", ExporterAttrs={"compression": "estargz"})
    assert "the option compression=estargz of the exporter oci" in str(caught.value.exceptions)


def test_a_request_for_the_same(api: Api) -> None:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as made:
        text = b"FROM busybox\nRUN echo it is said\n"
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        made.addfile(info, io.BytesIO(text))
    connection = UnixConnection(api.socket_path)
    connection.request("POST", "/build?version=2&t=asked:2&buildid=x1", body.getvalue())
    answer = connection.getresponse()
    records = [json.loads(line) for line in answer.read().splitlines()]
    connection.close()
    assert (answer.status, [record for record in records if "error" in record]) == (200, [])
    assert records[-1] == {"id": "moby.image.id", "aux": {"ID": api.ok("GET", "/images/asked:2/json")["Id"]}}
    traces = [CLASSES["Status"].FromString(base64.b64decode(record["aux"])) for record in records[:-1]]
    assert b"".join(log.msg for trace in traces for log in trace.logs) == b"it is said\n"
    assert "cpuquota is not supported" in api("POST", "/build?version=2&cpuquota=5").body["message"]
    assert api("POST", "/build/cancel").status == 400
    assert api("POST", "/build/cancel", id="nobody").status == 200
