"""TLS on a tcp host: the docker command line, docker-py, pydock and its SDK, with certificates and without."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import docker as docker_py
import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.certificates import Authority
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.leaks import left_behind, picture
from tests.fixtures.registry import free_port

from pydock_client import Client, Tls
from pydock_shared.errors import Unavailable


class Remote:
    """A daemon on a tcp host that lets in clients of an authority; `certificates` is a client's folder."""

    def __init__(self, root: Path, port: int) -> None:
        self.certificates, self.stranger = root / "client", root / "stranger"
        self.host = f"tcp://127.0.0.1:{port}"
        ours, other = Authority(), Authority()
        for folder, issuer in ((self.certificates, ours), (self.stranger, other)):
            folder.mkdir()
            (folder / "ca.pem").write_bytes(ours.certificate)
            issuer.issue("client").write(folder / "cert.pem", folder / "key.pem")
        (self.stranger / "other-ca.pem").write_bytes(other.certificate)
        ours.issue("daemon").write(root / "cert.pem", root / "key.pem")
        files = {"ca": self.certificates / "ca.pem", "cert": root / "cert.pem", "key": root / "key.pem"}
        self.options = ["-H", self.host, "--tlsverify", *(f"--tls{name}={path}" for name, path in files.items())]
        self.options = [option.replace("--tlsca=", "--tlscacert=") for option in self.options]

    def cli(self, name: str, folder: Path, home: Path) -> Cli:
        made = Cli(name, self.host, home)
        made.environment |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
        return made


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote(tmp_path_factory.mktemp("certificates"), free_port())


@pytest.fixture(scope="module")
def served(remote: Remote, base_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if OTHER_HOST:
        pytest.skip("PYDOCK_TEST_HOST names a daemon that is not ours to start")
    before, made = picture(), Engine(tmp_path_factory.mktemp("engine"), *remote.options)
    try:
        made.start()
        made.api.ok("POST", "/images/load", base_archive.read_bytes())
        yield made
    finally:
        made.destroy()
    assert left_behind(before, made.marks) == []


@pytest.fixture
def engine(served: Engine) -> Iterator[Engine]:
    yield served
    served.clear()


def test_command_lines(engine: Engine, remote: Remote, tmp_path: Path):
    for name in ("docker", "pydock"):
        cli = remote.cli(name, remote.certificates, tmp_path)
        assert cli("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo end", stdin="sent\n") == "sent\nend"
        big = cli("run", "--rm", "busybox", "sh", "-c", "seq 1 200000", timeout=60)
        assert (big.count("\n"), big[-6:]) == (199999, "200000")
        assert remote.cli(name, remote.certificates, tmp_path)("info", "-f", "{{json .Warnings}}").count("API is") == 0
        with cli.terminal("run", "--rm", "-it", "busybox") as terminal:
            terminal.until(b"# ")
            terminal.type(b"echo $((6*7))\n")
            terminal.until(b"42")
            terminal.type(b"exit 3\n")
            assert terminal.wait() == 3


def test_who_is_not_known_is_not_let_in(engine: Engine, remote: Remote, tmp_path: Path):
    for name in ("docker", "pydock"):
        words = "tls: |TLS|closed|daemon"
        remote.cli(name, remote.stranger, tmp_path).fails("ps", code=1, message=words)
        Cli(name, remote.host, tmp_path).fails("ps", code=1, message="Client sent an HTTP request|closed|connect")
        (remote.stranger / "ca.pem").write_bytes((remote.stranger / "other-ca.pem").read_bytes())
        remote.cli(name, remote.stranger, tmp_path).fails("ps", code=1, message="certificate")
        cli = Cli(name, remote.host, tmp_path)
        own = ("--tlscacert", "/etc/ssl/certs/ca-certificates.crt")
        own += ("--tlscert", str(remote.certificates / "cert.pem"), "--tlskey", str(remote.certificates / "key.pem"))
        assert cli("--tls", *own, "ps", "-q") == ""


def test_python_clients(engine: Engine, remote: Remote, monkeypatch: pytest.MonkeyPatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)  # docker-py's library prefers it to what it is told
    files = [str(remote.certificates / name) for name in ("cert.pem", "key.pem", "ca.pem")]
    tls = docker_py.tls.TLSConfig(client_cert=(files[0], files[1]), ca_cert=files[2], verify=True)
    client = docker_py.DockerClient(base_url=remote.host.replace("tcp", "https"), tls=tls, timeout=30)
    assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    container = client.containers.run("busybox", "sleep 60", detach=True)
    assert container.exec_run("echo inside").output == b"inside\n"
    container.remove(force=True)
    client.close()
    with Client(remote.host, tls=Tls(files[2], files[0], files[1], verify=True)) as own:
        assert own.version()["Version"]
    with Client(remote.host, tls=Tls(files[2], "", "", verify=True)) as own, pytest.raises(Unavailable):
        own.version()


def test_attached_clients_stay_when_the_daemon_ends(engine: Engine, remote: Remote, tmp_path: Path):
    cli = remote.cli("docker", remote.certificates, tmp_path)
    script = "echo begun; read line; echo got $line"
    with cli.begin("run", "-i", "--name", "kept", "busybox", "sh", "-c", script) as running:
        running.until(b"begun")
        time.sleep(0.5)  # the client has the answer to its start, which comes after the first output
        engine.kill()
        engine.start()
        running.stdin.write(b"word\n")
        running.stdin.flush()
        running.until(b"got word")
    assert cli("wait", "kept") == "0"


def test_the_process_that_speaks_tls_is_replaced(engine: Engine, remote: Remote, tmp_path: Path):
    cli = remote.cli("pydock", remote.certificates, tmp_path)
    assert cli("ps", "-q") == ""
    (child,) = [pid for pid in children(engine.pid) if b"tls.relay" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert "\nUid:\t65534\t65534\t65534\t" in Path(f"/proc/{child}/status").read_text()
    os.kill(child, signal.SIGKILL)
    eventually(lambda: cli.result("ps", "-q").returncode == 0)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_nonsense_and_silence_disturb_nobody(engine: Engine, remote: Remote, tmp_path: Path):
    host, port = "127.0.0.1", int(remote.host.rpartition(":")[2])
    with socket.create_connection((host, port)), socket.create_connection((host, port)) as loud:
        loud.sendall(b"\x16\x03\x01\xff\xff" + b"x" * 1000)
        context = ssl.create_default_context(cafile=remote.certificates / "ca.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection((host, port)) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname="localhost")
        assert remote.cli("pydock", remote.certificates, tmp_path)("ps", "-q") == ""


def test_contexts(engine: Engine, remote: Remote, tmp_path: Path):
    for name in ("docker", "pydock"):
        cli = Cli(name, remote.host, tmp_path / name)
        cli.host = ""
        files = ",".join(f"{key}={remote.certificates / key}.pem" for key in ("ca", "cert", "key"))
        command = cli.program[:1]
        run = Plain(command, cli.environment)
        assert run("context", "create", "far", "--docker", f"host={remote.host},{files}") == "far"
        assert run("-c", "far", "ps", "-q") == ""
        assert run("context", "use", "far") == "far"
        assert run("version", "-f", "{{.Server.Os}}") == "linux"


class Plain(Cli):
    """A command line that is not told of a daemon."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.name, self.environment, self._command = command[0], environment, command

    @property
    def program(self) -> list[str]:
        return self._command
