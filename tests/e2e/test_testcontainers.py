"""testcontainers, the library of test suites, and a docker command line inside a container with the socket in it."""

import shutil
import socket
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Api

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture
def containers(daemon: Engine | RemoteEngine, tidy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine of the session for testcontainers, without the container that it has for cleaning up."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)


def test_a_service_for_a_test(containers: None, api: Api):
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network
    from testcontainers.core.waiting_utils import wait_for_logs

    script = "echo ready; while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhi' | nc -l -p 80; done"
    with Network() as network:
        service = DockerContainer("busybox").with_command(["sh", "-c", script]).with_exposed_ports(80)
        service = service.with_network(network).with_network_aliases("web").with_env("A", "1")
        with service as running:
            wait_for_logs(running, "ready", timeout=10)
            with socket.create_connection(("127.0.0.1", int(running.get_exposed_port(80))), 10) as sock:
                assert sock.recv(100).endswith(b"hi")
            assert running.exec(["sh", "-c", "echo $A"]).output == b"1\n"
            asked = DockerContainer("busybox").with_network(network).with_command(["wget", "-qO-", "http://web"])
            with asked as asking:
                assert asking.get_wrapped_container().wait()["StatusCode"] == 0
                assert asking.get_logs()[0] == b"hi"
    assert api.ok("GET", "/containers/json", all="1") == []


def test_a_command_line_inside(docker: Cli, api: Api, daemon: Engine | RemoteEngine, tmp_path: Path):
    """The socket is mounted into a container; the static docker program in it rules its siblings."""
    program = shutil.which("docker")
    assert program
    loaders = [path for path in ("/lib", "/lib64", "/usr/lib") if Path(path).exists()]
    inside = "docker -H unix:///run/engine.sock"
    script = f"{inside} ps --format '{{{{.Names}}}}'; {inside} run --rm busybox echo nested; {inside} rm -f sibling"
    docker("run", "-d", "--name", "sibling", "busybox", "sleep", "300")
    mounts = [f"-v={daemon.socket}:/run/engine.sock", f"-v={Path(program).resolve()}:/bin/docker:ro"]
    mounts += [f"-v={path}:{path}:ro" for path in loaders]  # for one that is not static
    output = docker("run", "--rm", "--name", "ruler", *mounts, "busybox", "sh", "-c", script).splitlines()
    assert sorted(output) == ["nested", "ruler", "sibling", "sibling"]
    eventually(lambda: api.ok("GET", "/containers/json", all="1") == [])
