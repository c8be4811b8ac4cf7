"""What becomes of a build of `pydock build`: files, archives, squashed and reproducible images, caches."""

import base64
import json
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.test_build import Project, build, output, project
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api
from tests.fixtures.registry import Registry, serving

pytestmark = pytest.mark.root
__all__ = ["project"]
LAYERED = """
FROM busybox
RUN mkdir -p /d/e && echo 1 >/d/1 && ln /d/1 /d/hard && ln -s 1 /d/soft && echo >/d/e/old
RUN rm /d/1 && rm -r /d/e && mkdir /d/e && echo 2 >/d/e/2 && rm /bin/vi
COPY f /d/f
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry of its own."""
    with serving(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(autouse=True)
def _only_here(daemon: Engine | RemoteEngine):
    if not isinstance(daemon, Engine):
        pytest.skip("options of pydock build")


def test_files_and_archives_in_place_of_an_image(pydock: Cli, api: Api, project: Project, tmp_path: Path):
    folder = project(Dockerfile="FROM scratch\nCOPY . /all/\n", a="A", sub__b="B")
    before = {image["Id"] for image in api.ok("GET", "/images/json")}
    assert pydock.result("build", "-t", "not:kept", "-o", str(tmp_path / "out"), str(folder)).returncode == 0
    assert (tmp_path / "out/all/sub/b").read_text() == "B"
    pydock("build", "-o", f"type=tar,dest={tmp_path}/o.tar", str(folder))
    with tarfile.open(tmp_path / "o.tar") as found:
        assert found.extractfile("all/a").read() == b"A"  # type: ignore[union-attr]
    pydock("build", "-t", "some:name", "-o", f"type=oci,dest={tmp_path}/oci.tar", str(folder))
    with tarfile.open(tmp_path / "oci.tar") as found:
        index = json.load(found.extractfile("index.json"))  # type: ignore[arg-type]
        assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/some:name"
    assert {image["Id"] for image in api.ok("GET", "/images/json")} == before
    pydock("load", "-i", str(tmp_path / "oci.tar"))
    assert api.ok("GET", "/images/some:name/json")["RepoTags"] == ["some:name"]
    assert "type=local" not in pydock.fails(
        "build", "-o", "type=x", str(folder), code=1, message="'x' is not supported"
    )
    pydock.fails("build", "-o", "type=tar,level=9", str(folder), code=1, message="option level .* is not supported")


def test_what_is_written_about_a_result(pydock: Cli, api: Api, project: Project, tmp_path: Path):
    folder = project(Dockerfile="FROM busybox\nRUN echo >/x\n")
    build(pydock, folder, "--iidfile", str(tmp_path / "id"), "--metadata-file", str(tmp_path / "facts"))
    image = api.ok("GET", "/images/built:1/json")
    assert (tmp_path / "id").read_text() == image["Id"]
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["containerimage.config.digest"] == image["Id"]
    assert facts["image.name"] == "docker.io/library/built:1"


def test_squash_makes_one_layer_of_the_new_ones(pydock: Cli, api: Api, project: Project):
    folder = project(Dockerfile=LAYERED, f="F")
    build(pydock, folder)
    plain = output(pydock, "sh", "-c", "ls -R /d; ls /bin; cat /d/hard")
    build(pydock, folder, "--squash")
    assert output(pydock, "sh", "-c", "ls -R /d; ls /bin; cat /d/hard") == plain
    base, made = (api.ok("GET", f"/images/{name}/json")["RootFS"]["Layers"] for name in ("busybox", "built:1"))
    assert made[:-1] == base
    steps = api.ok("GET", "/images/built:1/history")
    assert steps[0]["Comment"].startswith("merge sha256:")
    assert sum(step["Size"] > 0 for step in steps) == 2


def test_the_same_digest_twice(fresh_daemon: Callable[..., Engine], project: Project, tmp_path: Path):
    folder = project(Dockerfile=f"{LAYERED}ARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH >/epoch\n", f="F")
    options = ["--output", "type=image,rewrite-timestamp=true", "--build-arg", "SOURCE_DATE_EPOCH=1500000000"]
    engines = [fresh_daemon(), fresh_daemon()]
    tools = [Cli("pydock", engine.host, tmp_path) for engine in engines]
    for tool in tools:
        build(tool, folder, *options)
    first, second = (engine.api.ok("GET", "/images/built:1/json") for engine in engines)
    assert (first["Id"], first["Descriptor"]["digest"]) == (second["Id"], second["Descriptor"]["digest"])
    assert output(tools[0], "stat", "-c", "%Y", "/d/e/2") == "1500000000"
    assert first["RootFS"]["Layers"][0] == engines[0].api.ok("GET", "/images/busybox/json")["RootFS"]["Layers"][0]
    tools[0].fails(
        "build", options[0], options[1], str(folder), code=1, message="needs the build argument SOURCE_DATE_EPOCH"
    )


def _cold(daemon: Engine) -> None:
    for image in daemon.api.ok("GET", "/images/json", all="1"):
        if "busybox:latest" not in image["RepoTags"]:
            daemon.api("DELETE", f"/images/{image['Id']}", force="1")
    daemon.api.ok("POST", "/build/prune", all="1")


def test_a_cache_that_comes_from_elsewhere(
    pydock: Cli, daemon: Engine, project: Project, registry: Registry, tmp_path: Path
):
    folder = project(Dockerfile="FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/moment\nRUN echo 2 >/2\n")
    name = registry.name("cached:1")
    build(pydock, folder, "--no-cache", "--cache-to", f"type=local,dest={tmp_path}/cache", "--push", name=name)
    first = output(pydock, "cat", "/moment", image=name)
    _cold(daemon)
    assert "Using cache" not in build(pydock, folder, "--cache-from", name)  # it was pushed without its steps
    _cold(daemon)
    build(pydock, folder, "--cache-from", f"type=local,src={tmp_path}/cache")
    assert output(pydock, "cat", "/moment") == first
    build(pydock, folder, "--cache-to", "type=inline", "--push", name=name)
    _cold(daemon)
    build(pydock, folder, "--cache-from", name)
    assert output(pydock, "cat", "/moment") == first
    assert "importing cache manifest" in build(pydock, folder, "--cache-from", registry.name("nothing"))
    pydock.fails("build", "--cache-to", "type=gha", str(folder), code=1, message="type=gha is not supported")
    pydock.fails("build", "--cache-to", "type=registry,ref=x,mode=all", str(folder), code=1, message="mode=all")


STAGED = """
FROM busybox AS made
RUN cat /proc/sys/kernel/random/uuid >/made
RUN echo 2 >/two
FROM busybox
COPY --from=made /made /m
"""


@pytest.mark.parametrize("kind", ["local", "registry"])
def test_a_cache_of_all_stages(
    pydock: Cli, daemon: Engine, project: Project, registry: Registry, tmp_path: Path, kind: str
):
    """What another stage made is there for a build of that stage; of the rest nothing is fetched."""
    folder, name = project(Dockerfile=STAGED), registry.name(f"max-{kind}:1")
    there = {"local": (f"dest={tmp_path}/c", f"src={tmp_path}/c"), "registry": (f"ref={name}", f"ref={name}")}[kind]
    for mode in ("min", "max") if kind == "registry" else ("max",):
        build(pydock, folder, "--no-cache", "--cache-to", f"type={kind},mode={mode},{there[0]}")
        first = output(pydock, "cat", "/m")
        _cold(daemon)
        again = build(pydock, folder, "--target", "made", "--cache-from", f"type={kind},{there[1]}")
        assert again.count("Using cache") == (2 if mode == "max" else 0)
        assert (output(pydock, "cat", "/made") == first) is (mode == "max")
    assert build(pydock, folder, "--cache-from", f"type={kind},{there[1]}").count("Using cache") == 3


def test_kinds_of_progress(pydock: Cli, project: Project):
    folder = project(Dockerfile="FROM busybox\nRUN echo shown\n")
    raw = pydock.result("build", "--no-cache", "--progress", "rawjson", str(folder))
    records = [json.loads(line) for line in raw.stderr.splitlines()]
    names = {vertex["digest"]: vertex["name"] for record in records for vertex in record.get("vertexes", ())}
    logs = [(names[log["vertex"]], log["data"]) for record in records for log in record.get("logs", ())]
    assert logs == [("[2/2] RUN echo shown", base64.b64encode(b"shown\n").decode())]
    assert (raw.stdout, list(names.values())[-1]) == ("", "exporting to image")
    quiet = pydock.result("build", "--progress", "quiet", str(folder)).stdout.strip()
    written = [count["id"] for record in records for count in record.get("statuses", ())]
    assert f"writing image {quiet}" in written
    assert "Step 2/2" in pydock("build", "--progress", "plain", str(folder))
    pydock.fails("build", "--progress", "tty", str(folder), code=1, message="failed to get console")


def test_a_build_on_a_terminal(pydock: Cli, project: Project):
    """It is drawn as docker buildx draws it, and says of a step that fails what it wrote."""
    folder = project(Dockerfile="FROM busybox\nRUN echo 1st; sleep 0.3\nARG N\nRUN echo 2nd $N; test $N = 1\n")
    with pydock.terminal("build", "--no-cache", "-t", "drawn:1", "--build-arg", "N=1", str(folder)) as shown:
        shown.until(b"=> => # 1st")
        assert shown.wait() == 0
    last = shown.output.rpartition(b"[+] Building")[2].decode()
    assert "s (4/4) FINISHED" in last
    assert "=> => naming to docker.io/library/drawn:1" in last
    with pydock.terminal("build", "--build-arg", "N=2", str(folder)) as shown:
        assert shown.wait() != 0
    last = shown.output.rpartition(b"[+] Building")[2].decode()
    assert " => CACHED [2/3] RUN echo 1st; sleep 0.3" in last
    assert " => ERROR [3/3] RUN echo 2nd 2; test 2 = 1" in last
    assert "> [3/3] RUN echo 2nd 2; test 2 = 1:\r\n2nd 2\r\n------" in last


def test_an_interrupted_build_on_a_terminal(pydock: Cli, daemon: Engine, project: Project):
    """The program ends by the signal, and the terminal has its cursor again; of the build nothing goes on."""
    folder = project(Dockerfile="FROM busybox\nRUN echo begun; sleep 1000\n")
    with pydock.terminal("build", "--no-cache", str(folder)) as shown:
        shown.until(b"# begun")
        shown.process.send_signal(signal.SIGINT)
        assert shown.wait() == -signal.SIGINT
    assert shown.output.rpartition(b"\x1b[?25l")[2].count(b"\x1b[?25h") == 1
    labelled = '{"label": ["io.pydock.build"]}'
    eventually(lambda: not daemon.api.ok("GET", "/containers/json", all="1", filters=labelled))


def test_stages_without_the_cache(pydock: Cli, project: Project):
    folder = project(
        Dockerfile="FROM busybox AS a\nRUN cat /proc/sys/kernel/random/uuid >/a\n"
        "FROM busybox AS b\nRUN cat /proc/sys/kernel/random/uuid >/b\n"
        "FROM busybox\nCOPY --from=a /a /a\nCOPY --from=b /b /b\n"
    )
    build(pydock, folder)
    first = output(pydock, "cat", "/a", "/b").split()
    build(pydock, folder, "--no-cache-filter", "b")
    second = output(pydock, "cat", "/a", "/b").split()
    assert (first[0] == second[0], first[1] == second[1]) == (True, False)
