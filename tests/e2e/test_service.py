"""pydockd as systemd runs it (a passed socket, READY=1, killed alone), and its command line."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually

AS_SYSTEMD = """\
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
passed = int(sys.argv[1])
if passed != 3:
    os.dup2(passed, 3)
    os.close(passed)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
PYDOCKD = [sys.executable, "-m", "pydock_daemon.app"]


class Service(Engine):
    """A daemon that is handed its socket and a place to say that it is ready."""

    def start(self) -> None:
        for left in (self.socket, self.root / "notify"):
            Path(left).unlink(missing_ok=True)
        with (
            socket.socket(socket.AF_UNIX) as listener,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
            self.log.open("ab") as log,
        ):
            listener.bind(self.socket)
            listener.listen()
            notified.bind(str(self.root / "notify"))
            notified.settimeout(20)
            words = ["fd://" if word == self.host else word for word in self.command]
            self.process = subprocess.Popen(
                [sys.executable, "-c", AS_SYSTEMD, str(listener.fileno()), *words],
                pass_fds=[listener.fileno()],
                env={**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(self.root / "notify")},
                stdout=log,
                stderr=log,
            )
            assert notified.recv(100) == b"READY=1"
        self.started = True


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    try:
        service.start()
        yield service
    finally:
        service.destroy()


def test_socket_and_readiness(service: Service):
    assert service.api("GET", "/_ping").body == "OK"
    assert service.api.ok("GET", "/info")["DockerRootDir"] == str(service.root / "data")


def test_the_passed_socket_is_the_daemons_alone(service: Service):
    service.process.kill()
    service.process.wait()
    # The supervisor lives on; had it inherited the socket, clients would be taken in and never answered.
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(service.socket)


def test_it_takes_all_descriptors_and_containers_have_the_limit_it_was_given(
    service: Service, base_archive: Path, tmp_path: Path
):
    service.api.ok("POST", "/images/load", base_archive.read_bytes())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for pid in (service.pid, *service.supervisors()):
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)
    docker = Cli("docker", service.host, tmp_path)
    limits = ("sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert docker("run", "--rm", "busybox", *limits).split() == ["1024", str(hard)]
    docker("run", "-d", "--name", "web", "busybox", "sleep", "60")
    assert docker("exec", "web", *limits).split() == ["1024", str(hard)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no-such-option"], "--no-such-option"),
        (["--bip", "nonsense"], "bip"),
        (["-H", "ftp://x"], "ftp://x"),
        (["--config-file", "/nosuch.json"], "/nosuch.json"),
        (["--default-runtime", "nosuch"], "nosuch"),
    ],
)
def test_wrong_options_are_named(options: list[str], message: str):
    done = subprocess.run([*PYDOCKD, "--validate", *options], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert message in done.stderr


def test_settings_in_a_file(tmp_path: Path):
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"data-root": str(tmp_path), "hosts": ["unix:///x"], "mtu": 1400}))
    command = [*PYDOCKD, "--validate", "--config-file", str(file)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "configuration OK\n"
    twice = subprocess.run([*command, "--mtu", "1400"], capture_output=True, text=True, check=False)
    assert (twice.returncode, "mtu" in twice.stderr) == (1, True)
    file.write_text('{"no-such-key": 1}')
    assert "no-such-key" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_listens_on_tcp_as_well(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine = Engine(tmp_path, "-H", f"tcp://127.0.0.1:{port}")
    try:
        engine.start()
        eventually(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None)
    finally:
        engine.destroy()


def test_settings_are_read_again(fresh_daemon: Callable[..., Engine], tmp_path: Path):
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"labels": ["a=b"]}))
    engine, began = fresh_daemon("--config-file", str(file)), f"{time.time():.6f}"

    def told() -> list[dict[str, str]]:
        text = engine.api.ok("GET", "/events", since=began, until=f"{time.time():.6f}", filters={"daemon": [""]})
        return [text["Actor"]["Attributes"]] if isinstance(text, dict) else []

    def logged(words: str) -> None:
        os.kill(engine.pid, signal.SIGHUP)
        eventually(lambda: words in engine.log.read_text())

    file.write_text(json.dumps({"labels": ["a=c"], "debug": True, "insecure-registries": ["reg.example"], "mtu": 1400}))
    logged("mtu is another in the file; that counts from the next start of the daemon")
    eventually(told)
    (attributes,) = told()
    assert (attributes["labels"], attributes["debug"]) == ('["a=c"]', "true")
    info = engine.api.ok("GET", "/info")
    assert (info["Labels"], info["Debug"]) == (["a=c"], True)
    assert info["RegistryConfig"]["IndexConfigs"]["reg.example"]["Secure"] is False
    file.write_text("{")
    logged("the settings stay as they are: ")
    assert engine.api.ok("GET", "/info")["Labels"] == ["a=c"]
