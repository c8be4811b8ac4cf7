"""Images from Dockerfiles, by the docker command line, pydock, docker-py and plain HTTP."""

import contextlib
import functools
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker as docker_py
import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api, UnixConnection

from pydock_client import Client
from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root
CLASSIC = {"DOCKER_BUILDKIT": "0"}
BUILDKIT = pytest.mark.skipif(bool(OTHER_HOST), reason="dockerd's own builder knows only the old syntax")

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Write a folder of files; a name's `/` makes folders."""

    def make(**files: str) -> Path:
        folder = tmp_path / "project"
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return make


def build(cli: Cli, folder: Path, *options: str, name: str = "built:1") -> str:
    done = cli.result("build", "-t", name, *options, str(folder), env=CLASSIC)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fails(cli: Cli, folder: Path, *options: str) -> tuple[int, str]:
    done = cli.result("build", *options, str(folder), env=CLASSIC)
    assert done.returncode != 0, done.stdout
    return done.returncode, done.stdout + done.stderr


def archive(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            made.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def by_api(api: Api, dockerfile: str, files: dict[str, str] | None = None, **query: str) -> str:
    answer = api("POST", "/build", archive({"Dockerfile": dockerfile, **(files or {})}), timeout=60, **query)
    return answer.body if isinstance(answer.body, str) else json.dumps(answer.body)


def output(cli: Cli, *command: str, image: str = "built:1") -> str:
    return cli("run", "--rm", image, *command)


@BUILDKIT
def test_documents_of_stages_side_by_side(pydock: Cli, project: Project):
    """Each is what its own stage says, whatever the others write at the same moment."""
    numbers = range(6)
    text = "".join(f"FROM busybox AS s{n}\nCOPY <<EOF /f{n}\ncontent {n}\nEOF\n" for n in numbers)
    text += "FROM busybox\n" + "".join(f"COPY --from=s{n} /f{n} /\n" for n in numbers)
    build(pydock, project(Dockerfile=text), "--no-cache")
    assert output(pydock, "sh", "-c", "cat /f*") == "\n".join(f"content {n}" for n in numbers)


def test_stages_arguments_and_settings(cli: Cli, project: Project):
    folder = project(
        Dockerfile="""
        ARG BASE=busybox
        FROM $BASE AS maker
        ARG WHO=nobody
        ENV GREETING="hello there"
        WORKDIR /srv/deep
        COPY a.txt sub/ ./
        RUN echo "$GREETING $WHO" >result && ls >list
        FROM busybox AS unneeded
        RUN exit 9
        FROM busybox
        LABEL one=1 two="2 and more"
        EXPOSE 80 443/udp
        VOLUME /data
        USER 1000:2000
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=5s CMD true
        COPY --from=maker --chown=1000:2000 --chmod=640 /srv/deep/result /srv/deep/list /out/
        ENTRYPOINT ["cat"]
        CMD ["/out/result"]
        """,
        a_dot_txt="A",
        sub__b="B",
    )
    text = build(cli, folder, "--build-arg", "WHO=you", "--label", "three=3")
    assert "Successfully tagged built:1" in text
    assert output(cli) == "hello there you"
    assert output(cli, "/out/list").split() == ["a.txt", "b", "list", "result"]
    found = json.loads(cli("inspect", "built:1"))[0]["Config"]
    assert found["Labels"] == {"one": "1", "two": "2 and more", "three": "3"}
    assert (found["User"], found["StopSignal"]) == ("1000:2000", "SIGINT")
    assert set(found["ExposedPorts"]) == {"80/tcp", "443/udp"}
    assert found["Healthcheck"]["Interval"] == 5 * 10**9
    assert cli("run", "--rm", "--entrypoint", "stat", "built:1", "-c", "%a %u:%g", "/out/result") == "640 1000:2000"


def test_a_second_build_is_the_first_one(cli: Cli, project: Project):
    folder = project(
        Dockerfile="FROM busybox\nCOPY x /x\nRUN cat /proc/sys/kernel/random/uuid >/moment\nENV A=1\n", x="1"
    )
    build(cli, folder)
    first = cli("images", "-q", "--no-trunc", "built:1")
    assert "Using cache" in build(cli, folder)
    assert cli("images", "-q", "--no-trunc", "built:1") == first
    (folder / "x").write_text("2")
    build(cli, folder)
    assert cli("images", "-q", "--no-trunc", "built:1") != first
    before = output(cli, "cat", "/moment")
    build(cli, folder, "--no-cache")
    assert output(cli, "cat", "/moment") != before


@BUILDKIT
def test_heredocs_and_variables(cli: Cli, api: Api):
    dockerfile = """
FROM busybox
ENV NAME=world LONG=/a/b/c.tar.gz
RUN <<EOF
echo "from $NAME"  >/one
echo two >>/one
EOF
RUN cat <<'X' >/two
raw $NAME
X
COPY <<A <<"B" /docs/
name is ${NAME:-none} ${LONG##*/} ${NONE:+x}
A
literal $NAME
B
"""
    by_api(api, dockerfile, t="built:1")
    assert output(cli, "cat", "/one", "/two", "/docs/A", "/docs/B").splitlines() == [
        "from world",
        "two",
        "raw $NAME",
        "name is world c.tar.gz ",
        "literal $NAME",
    ]


def test_add_unpacks_archives_and_copy_does_not(cli: Cli, project: Project):
    folder = project(Dockerfile="FROM busybox\nADD a.tar.gz /added/\nCOPY a.tar.gz /copied/\n")
    with tarfile.open(folder / "a.tar.gz", "w:gz") as made:
        info = tarfile.TarInfo("inside/file")
        info.size = 600
        made.addfile(info, io.BytesIO(b"x" * 600))
    build(cli, folder)
    assert output(cli, "ls", "/added/inside", "/copied").split() == ["/added/inside:", "file", "/copied:", "a.tar.gz"]


def test_onbuild_shell_and_scratch(cli: Cli, api: Api):
    by_api(api, "FROM busybox\nONBUILD RUN echo triggered >/t\nONBUILD ENV T=1\n", t="parent:1")
    by_api(api, 'FROM parent:1\nSHELL ["/bin/sh", "-ec"]\nRUN false || true; echo $T >>/t\n', t="built:1")
    assert output(cli, "cat", "/t").split() == ["triggered", "1"]
    assert json.loads(cli("inspect", "built:1"))[0]["Config"].get("OnBuild") in (None, [])
    by_api(
        api,
        'FROM scratch\nCOPY --from=busybox /bin/busybox /cat\nCOPY x /x\nCMD ["/cat", "/x"]\n',
        {"x": "bare"},
        t="bare:1",
    )
    assert cli("run", "--rm", "bare:1") == "bare"


def test_what_is_ignored_is_not_sent(cli: Cli, project: Project):
    folder = project(
        Dockerfile="FROM busybox\nCOPY . /all\n",
        _dot_dockerignore="*.md\n!keep.md\nskip\n",
        a_dot_md="1",
        keep_dot_md="2",
        skip__x="3",
        y="4",
    )
    build(cli, folder)
    assert set(output(cli, "ls", "/all").split()) >= {"keep.md", "y"}
    assert not {"a.md", "skip"} & set(output(cli, "ls", "/all").split())


def test_caches_are_volumes(cli: Cli, api: Api, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("by POST /build of this engine only")
    mounts = "--mount=type=cache,target=/c --mount=type=tmpfs,target=/t"
    dockerfile = f"FROM busybox\nARG N\nRUN {mounts} echo $N >>/c/n; touch /t/x; cat /c/n >/n\n"
    by_api(api, dockerfile, t="built:1", buildargs='{"N": "1"}', nocache="1")
    by_api(api, dockerfile, t="built:1", buildargs='{"N": "2"}')
    assert output(cli, "sh", "-c", "cat /n; ls -d /[ct] 2>/dev/null || true").split() == ["1", "2"]
    assert cli("volume", "ls", "-q", "--filter", "label=io.pydock.build.cache=/c").startswith("build-cache-c-")


def test_a_step_that_fails(cli: Cli, project: Project):
    folder = project(Dockerfile="FROM busybox\nRUN echo so far; exit 7\n")
    code, text = fails(cli, folder)
    assert code in (1, 7)
    assert "so far" in text
    assert "The command '/bin/sh -c echo so far; exit 7' returned a non-zero code: 7" in text
    assert OTHER_HOST or cli("ps", "-aq") == ""  # dockerd keeps what has failed


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM busybox\nRUM x\n", "unknown instruction: RUM"),
        ("FROM busybox\nCOPY nothing /x\n", "nothing"),
        ("FROM busybox\nCOPY --from=missing-stage:1 /x /x\n", "missing-stage"),
        ("RUN x\n", "no build stage in current context"),
        ("FROM busybox AS 1x\n", "invalid name for build stage"),
        ("FROM busybox\nRUN --mount=type=secret,id=s,required true\n", "secret s: not found"),
        ("FROM busybox\nENV a\n", "ENV must have two arguments"),
        ("FROM busybox\nADD --checksum=sha256:0 http://127.0.0.1:9/x /\n", "failed to GET http://127.0.0.1:9/x"),
    ],
)
def test_what_cannot_be_built(api: Api, daemon: Engine, dockerfile: str, message: str):
    if not isinstance(daemon, Engine):
        pytest.skip("in our words")
    assert message in by_api(api, dockerfile)
    assert api.ok("GET", "/containers/json", all="1") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"version": "3"}, 400),
        ({"isolation": "hyperv"}, 501),
        ({"t": "UPPER"}, 400),
        ({"buildargs": "["}, 400),
        ({"target": "none"}, 400),
        ({"dockerfile": "Other"}, 400),
    ],
)
def test_what_cannot_be_asked(api: Api, daemon: Engine, query: dict[str, str], status: int):
    if not isinstance(daemon, Engine):
        pytest.skip("in our words")
    assert api("POST", "/build", archive({"Dockerfile": "FROM busybox"}), **query).status == status
    assert api("POST", "/build", b"this is no archive" * 100).status == 400


def test_a_client_that_goes_ends_the_build(api: Api, daemon: Engine, cli: Cli):
    connection = UnixConnection(daemon.socket)
    data = archive({"Dockerfile": "FROM busybox\nRUN sleep 100\n"})
    connection.request("POST", "/build", data, {"Content-Type": "application/x-tar"})
    eventually(lambda: cli("ps", "-q"))
    connection.close()
    eventually(lambda: cli("ps", "-aq") == "")


def test_contexts_and_sources_by_address(api: Api, cli: Cli, daemon: Engine, tmp_path: Path):
    if not isinstance(daemon, Engine):
        pytest.skip("an address of this host, in our words")
    (tmp_path / "Only.dockerfile").write_text("FROM busybox\nRUN echo alone >/x\n")
    (tmp_path / "page").write_text("added\n")
    with serving(tmp_path) as address:
        dockerfile = f"FROM busybox\nADD --chmod=644 {address}/page /got/\nCOPY x /x\n"
        (tmp_path / "context.tar").write_bytes(archive({"Dockerfile": dockerfile, "x": "packed\n"}))
        answer = api("POST", "/build", t="built:1", remote=f"{address}/Only.dockerfile")
        assert "Successfully built" in answer.body
        assert output(cli, "cat", "/x") == "alone"
        assert "Successfully built" in api("POST", "/build", t="built:1", remote=f"{address}/context.tar").body
        assert output(cli, "cat", "/got/page", "/x") == "added\npacked"
        adding = f"FROM busybox\nADD {address}/context.tar /as-it-is/\nADD --unpack {address}/context.tar /unpacked/\n"
        assert "Successfully built" in by_api(api, adding, t="built:1")
        assert output(cli, "ls", "/as-it-is") == "context.tar"
        assert output(cli, "ls", "/unpacked").split() == ["Dockerfile", "x"]
        wrong = by_api(api, f"FROM busybox\nADD --checksum=sha256:{'0' * 64} {address}/page /p\n")
        assert "digest mismatch" in wrong
        assert api("POST", "/build", remote=f"{address}/missing").status == 500


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder by http on the loopback."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:
        return


def test_by_docker_py(daemon: Engine, project: Project):
    folder = project(Dockerfile="FROM busybox\nARG A\nCOPY x /x\nRUN echo $A >>/x\n", x="1\n")
    with contextlib.closing(docker_py.DockerClient(base_url=f"unix://{daemon.socket}")) as client:
        image, logs = client.images.build(path=str(folder), tag="built:1", buildargs={"A": "2"})
        assert "built:1" in image.tags
        assert any("Successfully built" in entry.get("stream", "") for entry in logs)
        assert client.containers.run("built:1", ["cat", "/x"], remove=True) == b"1\n2\n"


def test_by_the_sdk(daemon: Engine, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG WHO\nCOPY . /c\nRUN ls /c; echo $WHO; test $WHO = me\n")
    (tmp_path / ".dockerignore").write_text("secret\n")
    (tmp_path / "secret").touch()
    (tmp_path / "shown").touch()
    said: list[str] = []
    with Client(daemon.host) as client:
        image = client.images.build(str(tmp_path), tags=["sdk:1"], arguments={"WHO": "me"}, say=said.append)
        assert image.tags == ["sdk:1"]
        assert "shown\nme\n" in "".join(said)
        assert "secret" not in "".join(said)
        with pytest.raises(PydockError, match=r"returned a non-zero code: 1|exit code: 1"):
            client.images.build(str(tmp_path), arguments={"WHO": "you"})
        client.images.remove("sdk:1")


def test_the_cache_is_listed_and_pruned(cli: Cli, api: Api, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("of this engine")
    by_api(api, "FROM busybox\nRUN head -c 100000 /dev/zero >/z\nRUN true\n")
    entries = api.ok("GET", "/v1.45/system/df")["BuildCache"]
    assert max(entry["Size"] for entry in entries) >= 100_000
    assert api.ok("POST", "/build/prune")["CachesDeleted"]
    left = api.ok("GET", "/v1.45/system/df")["BuildCache"]
    assert all(entry["InUse"] or entry["Shared"] for entry in left)


def test_a_date_of_its_own_makes_the_same_image(api: Api, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("of this engine")
    ids = set()
    for _ in range(2):
        text = by_api(
            api,
            "FROM busybox\nCOPY x /x\nENV A=1\n",
            {"x": "1"},
            nocache="1",
            buildargs='{"SOURCE_DATE_EPOCH": "1700000000"}',
        )
        ids.add(json.loads([line for line in text.splitlines() if '"aux"' in line][-1])["aux"]["ID"])
    assert len(ids) == 1
    (identifier,) = ids
    assert api.ok("GET", f"/images/{identifier}/json")["Created"].startswith("2023-11-14T22:13:20")
