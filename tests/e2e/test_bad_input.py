"""What is wrong is refused by name, with Docker's exit code and status, and leaves no record, link, file or blob."""

import contextlib
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures import archives
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api, UnixConnection


def traces(daemon: Engine | RemoteEngine) -> set[str]:
    """Everything of a daemon that a refused request must not change: its files and the ports of its bridge."""
    found: set[str] = set()
    if isinstance(daemon, Engine):
        found |= set(os.listdir(f"/sys/class/net/{daemon.bridge}/brif"))
        for folder, _, names in os.walk(daemon.root / "data"):
            found |= {f"{folder}/{name}" for name in names if not name.startswith("pydock.db")}
    return found


@pytest.fixture
def unchanged(daemon: Engine | RemoteEngine) -> Iterator[None]:
    before = traces(daemon)
    yield
    assert traces(daemon) == before
    assert daemon.api.ok("GET", "/containers/json", all="1") == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "Busybox"), 125, "invalid reference format: repository name \\(library/Busybox\\) must be lowercase"),
        (("run", "bad@@ref"), 125, "invalid reference format"),
        (("run", "--no-such-flag", "busybox"), 125, "unknown flag: --no-such-flag"),
        (("run", "--memory", "lots", "busybox"), 125, "invalid size: 'lots'|invalid argument \"lots\""),
        (("run", "--memory", "1k", "busybox"), 125, "[Mm]inimum memory limit allowed is 6MB"),
        (("run", "--cpus", "100000", "busybox"), 125, "[Rr]ange of CPUs is from 0.01"),
        (("run", "-p", "99999:80", "busybox"), 125, "[Ii]nvalid (host ?)?[Pp]ort|99999"),
        (("run", "-v", "relative/path:/x", "busybox"), 125, "includes invalid characters for a local volume name"),
        (("run", "-v", "/tmp:relative", "busybox"), 125, "invalid volume specification|invalid mount path: 'relative'"),
        (("run", "--name", "bad name", "busybox"), 125, "Invalid container name \\(bad name\\)|invalid container name"),
        (("run", "-w", "relative", "busybox"), 125, "working directory 'relative' is invalid"),
        (("run", "--cap-add", "NOSUCH", "busybox"), 125, "CAP_NOSUCH|NOSUCH"),
        (("run", "--security-opt", "nosuch=1", "busybox"), 125, "invalid --security-opt 2: \"nosuch=1\"|nosuch"),
        (("run", "--restart", "sometimes", "busybox"), 125, "sometimes"),
        (("run", "--log-driver", "nosuch", "busybox"), 125, "nosuch"),
        (("run", "--stop-signal", "NOSUCH", "busybox"), 125, "[Ii]nvalid signal: NOSUCH"),
        (("run",), 1, "requires at least 1 argument"),
        (("nosuch",), 1, "is not a (docker|pydock) command|unknown command"),
        (("rm", "nosuch"), 1, "No such container: nosuch"),
        (("rmi", "nosuch"), 1, "No such image: nosuch"),
        (("stop", "nosuch"), 1, "No such container: nosuch"),
        (("logs", "nosuch"), 1, "No such container: nosuch"),
        (("inspect", "nosuch"), 1, "[Nn]o such object: nosuch"),
        (("volume", "rm", "nosuch"), 1, "nosuch: no such volume|get nosuch"),
        (("network", "rm", "nosuch"), 1, "network nosuch not found"),
        (("pull", "127.0.0.1:1/nobody/home:1"), 1, "connection refused|cannot connect"),
        (("pull", "library/Case"), 1, "must be lowercase"),
        (("tag", "busybox", "Bad:Ref"), 1, "must be lowercase|not a valid repository/tag"),
        (("load", "-i", "/nosuch.tar"), 1, "no such file or directory|[Nn]o such file"),
    ],
)  # fmt: skip
def test_refused_by_name(cli: Cli, unchanged: None, arguments: tuple[str, ...], code: int, message: str):
    cli.fails(*arguments, code=code, message=message)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "config cannot be empty|no image specified"),
        ({"Image": "nosuch:1"}, 404, "No such image: nosuch:1"),
        ({"Image": "busybox", "Cmd": 5}, 400, ""),
        ({"Image": "busybox", "HostConfig": {"Binds": ["/a:/b:nosuchmode"]}}, (400, 500), "nosuchmode|invalid mode"),
        ({"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "nosuch"}}}, 400, "nosuch"),
        ({"Image": "busybox", "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/x"}]}}, 400, "mount"),
    ],
)  # fmt: skip
def test_status_of_the_api(api: Api, unchanged: None, body: object, status: Any, message: str):
    answer = api("POST", "/containers/create", body)
    assert answer.status in (status if isinstance(status, tuple) else (status,)), answer
    assert set(answer.body) == {"message"}
    assert any(word in answer.body["message"] for word in message.split("|"))


def test_broken_requests(api: Api, unchanged: None):
    assert api("POST", "/containers/create", b"{not json").status == 400
    assert api("GET", "/v9.99/containers/json").status == 400
    assert api("GET", "/v1.10/containers/json").status == 400
    assert api("GET", "/nosuch").status == 404
    assert api("GET", "/containers/json", filters="{nonsense").status == 400
    assert api("GET", "/containers/json", filters={"nosuch": ["x"]}).status == 400


@pytest.mark.parametrize(
    "data", [b"this is no archive", b"\x1f\x8b\x08broken gzip", b"", archives.tar([archives.entry("x", b"y")])]
)
def test_corrupt_archive(api: Api, unchanged: None, data: bytes):
    answer = api("POST", "/images/load", data)
    errors = [line for line in str(answer.body).splitlines() if "error" in line]
    assert answer.status >= 400 or errors, answer


def test_archive_cut_off_in_the_middle(api: Api, unchanged: None, base_archive: Path):
    answer = api("POST", "/images/load", base_archive.read_bytes()[:500_000])
    assert answer.status >= 400 or "error" in str(answer.body)


class LyingRegistry(http.server.BaseHTTPRequestHandler):
    """A registry whose blobs are not what their digests say, or that hangs up in the middle of one."""

    layer = archives.tar([archives.entry("file", b"x" * 100_000)])
    promised = "sha256:" + hashlib.sha256(layer + b"something else").hexdigest()
    configuration = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [promised]}})
    config_digest = "sha256:" + hashlib.sha256(configuration.encode()).hexdigest()

    def manifest(self) -> bytes:
        kind = "application/vnd.oci.image."
        layer = {"mediaType": f"{kind}layer.v1.tar", "digest": self.promised, "size": len(self.layer)}
        config = {"mediaType": f"{kind}config.v1+json", "digest": self.config_digest, "size": len(self.configuration)}
        body = {"schemaVersion": 2, "mediaType": f"{kind}manifest.v1+json", "config": config, "layers": [layer]}
        return json.dumps(body).encode()

    def do_GET(self) -> None:
        data, kind, cut = b"{}", "application/json", None
        if "/manifests/" in self.path:
            data, kind = self.manifest(), "application/vnd.oci.image.manifest.v1+json"
        elif self.path.endswith(self.config_digest):
            data = self.configuration.encode()
        elif "/blobs/" in self.path:
            data, cut = self.layer, 50_000 if "/cut/" in self.path else None
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if "/manifests/" in self.path:
            self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(data).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[:cut])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LyingRegistry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("image", "message"),
    [("lie/x:1", "digest|verification failed|does not match"), ("cut/x:1", "EOF|closed|short|[Uu]nexpected|cut|ended")],
)
def test_registry_that_lies(docker: Cli, liar: str, unchanged: None, image: str, message: str):
    docker.fails("pull", f"{liar}/{image}", code=1, message=message, timeout=90)
    assert liar not in docker("images", "-a")


def test_unknown_network_leaves_the_container_created(cli: Cli):
    cli.fails("run", "--network", "nosuch", "busybox", code=125, message="network nosuch not found")
    assert cli("ps", "-a", "--format", "{{.Status}}") == "Created"


def test_nothing_runs_without_rights(daemon: Engine | RemoteEngine, tmp_path: Path):
    """Another user cannot reach the socket."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(OSError):
            os.setgid(65534)
            os.setuid(65534)
            try:
                Api(daemon.socket)("GET", "/_ping")
            except PermissionError:
                code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_not_said_to_be_json_is_not_taken_for_it(daemon: Engine | RemoteEngine, unchanged: None):
    body = json.dumps({"Image": "busybox"})
    with contextlib.closing(UnixConnection(daemon.socket)) as connection:
        for said, message in (
            ("text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
            ("", "malformed Content-Type header (): mime: no media type"),
        ):
            connection.request("POST", "/containers/create", body, {"Content-Type": said})
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())) == (400, {"message": message})
        connection.request("POST", "/containers/create", body.encode("utf-16"), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 400
        assert json.loads(answer.read())["message"].startswith("invalid JSON: ")


@pytest.mark.parametrize("path", ["/containers/%zz/json", "/containers/json?filters=%", "/containers/json?all=%2"])
def test_what_is_no_escape(api: Api, path: str):
    assert api("GET", path).status == 400


def test_numbers(daemon: Engine | RemoteEngine, api: Api):
    if isinstance(daemon, RemoteEngine):
        pytest.skip("dockerd calls these its own mistake")
    for text in ("x", "1_0", " 1", "1e3", "9" * 25, "9" * 5000):
        assert api("GET", f"/containers/json?limit={text.replace(' ', '%20')}").status == 400
