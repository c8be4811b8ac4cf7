"""The whole way of a real image: Debian from the package mirror, through a registry, to a web server in a container.

Each of three clients goes it: our command line, the real docker command line, docker-py.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest
from tests.fixtures import debian
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.registry import free_port, serving, skopeo

pytestmark = [pytest.mark.network, pytest.mark.slow]
INSTALL = (
    "apt-get -q update && apt-get -q install -y --no-install-recommends nginx-light && exec nginx -g 'daemon off;'"
)
PATIENCE = 150


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian in a registry, put there by skopeo."""
    folder = tmp_path_factory.mktemp("debian")
    archive = debian.root_file_system(folder / "root.tar")
    with serving(folder / "registry") as registry:
        skopeo("copy", "--dest-tls-verify=false", f"tarball:{archive}", f"docker://{registry.name('debian:test')}")
        archive.unlink()
        yield registry.name("debian:test")


def by_command_line(cli: Cli) -> Callable[[str, int], Callable[[], str]]:
    def serve(image: str, port: int) -> Callable[[], str]:
        assert "Digest: sha256:" in cli("pull", image, timeout=PATIENCE)
        options = ["-d", "--name", "web", "-p", f"{port}:80", *debian.volumes(), "-e", "DEBIAN_FRONTEND=noninteractive"]
        cli("run", *options, image, "sh", "-c", INSTALL)
        return lambda: cli("logs", "web")

    return serve


def by_docker_py(client: docker_py.DockerClient) -> Callable[[str, int], Callable[[], str]]:
    def serve(image: str, port: int) -> Callable[[], str]:
        assert client.images.pull(image).tags == [image]
        container: Any = client.containers.run(
            image,
            ["sh", "-c", INSTALL],
            detach=True,
            name="web",
            ports={"80/tcp": port},
            volumes=debian.volumes()[1::2],
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )
        return lambda: container.logs().decode()

    return serve


@pytest.mark.parametrize("by", ["pydock", "docker", "docker-py"])
def test_nginx_of_debian_answers_the_host(
    by: str, image: str, daemon: Engine | RemoteEngine, tmp_path: Path, client: docker_py.DockerClient
):
    serve = by_docker_py(client) if by == "docker-py" else by_command_line(Cli(by, daemon.host, tmp_path))
    port = free_port()
    logs = serve(image, port)

    def page() -> str:
        assert "E: " not in logs(), logs()[-2000:]
        command = ["curl", "--silent", "--max-time", "5", f"http://127.0.0.1:{port}/"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    eventually(lambda: "Welcome to nginx" in page(), timeout=PATIENCE, every=0.5)
    daemon.clear()
    client.images.remove(image)
