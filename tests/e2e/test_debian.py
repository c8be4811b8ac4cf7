"""The whole way of a real image: Debian from the package mirror, through a registry, to a web server in a container.

Its Dockerfile is one of those that are compared with a dockerd's, and each of three clients builds it: our command
line, the real docker command line, docker-py. A container that installs the server by itself goes the way through the
bridge.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker as docker_py
import pytest
from tests.dockerfiles import case
from tests.dockerfiles.engines import DEBIAN
from tests.fixtures import debian
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.registry import free_port, serving

pytestmark = [pytest.mark.network, pytest.mark.slow]
INSTALL = (
    "apt-get -q update && apt-get -q install -y --no-install-recommends nginx-light && exec nginx -g 'daemon off;'"
)
PATIENCE = 150
SITE = case.read(case.DEBIAN / "nginx-site.case")


@pytest.fixture(scope="module")
def image(daemon: Engine | RemoteEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian, pulled from a registry."""
    folder = tmp_path_factory.mktemp("debian")
    archive = debian.image(folder / "image.tar", DEBIAN.base)
    with serving(folder / "registry") as registry:
        registry.copy(f"docker-archive:{archive}", "debian:test")
        archive.unlink()
        docker = Cli("docker", daemon.host, folder)
        assert "Digest: sha256:" in docker("pull", registry.name("debian:test"), timeout=PATIENCE)
        docker("tag", registry.name("debian:test"), DEBIAN.base)
        yield DEBIAN.base
        docker("rmi", "-f", registry.name("debian:test"), DEBIAN.base)


def page(port: int) -> str:
    command = ["curl", "--silent", "--max-time", "5", f"http://127.0.0.1:{port}/"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_nginx_is_installed_by_its_container(image: str, pydock: Cli):
    port = free_port()
    pydock("run", "-d", "--name", "web", "-p", f"{port}:80", image, "sh", "-c", INSTALL)

    def welcome() -> bool:
        logs = pydock("logs", "web")
        assert "E: " not in logs, logs[-2000:]
        return "Welcome to nginx" in page(port)

    eventually(welcome, timeout=PATIENCE, every=0.5)


@pytest.mark.parametrize("by", ["pydock", "docker", "docker-py"])
def test_nginx_is_built(
    by: str, image: str, daemon: Engine | RemoteEngine, tmp_path: Path, client: docker_py.DockerClient
):
    context = str(SITE.write(tmp_path))
    if by == "docker-py":
        client.images.build(path=context, tag="site:1", network_mode="host", timeout=PATIENCE)
    else:
        Cli(by, daemon.host, tmp_path)("build", "-t", "site:1", "--network=host", context, timeout=PATIENCE)
    port = free_port()
    made = client.containers.run("site:1", detach=True, ports={"80/tcp": port})
    eventually(lambda: "A site" in page(port), timeout=20, every=0.2)
    assert made.image.attrs["Config"]["StopSignal"] == "SIGQUIT"  # type: ignore[union-attr]
    daemon.clear()
    client.images.remove("site:1")


@pytest.mark.parametrize(
    ("name", "command", "said"),
    [
        ("sqlite", ["cities.db", "select name from cities where people > 240000"], "Kiel"),
        ("onbuild-parent", [], "a\nb"),
    ],
)
def test_what_people_write(name: str, command: list[str], said: str, image: str, pydock: Cli, tmp_path: Path):
    context = str(case.read(case.DEBIAN / f"{name}.case").write(tmp_path))
    pydock("build", "-t", "made:1", "--network=host", context, timeout=PATIENCE)
    assert pydock("run", "--rm", "made:1", *command) == said
    pydock("rmi", "made:1")
