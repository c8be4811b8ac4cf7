"""docker compose, which nobody here wrote, with files as people write them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.engine import Engine, RemoteEngine

FOLDERS = ("~/.docker/cli-plugins", *(f"/usr{part}/docker/cli-plugins" for part in ("/lib", "/libexec", "/local/lib")))
SITE = """
name: site
services:
  seed:
    image: busybox
    command: sh -c 'echo "seeded by $$FROM_ENV" >/data/page; exit 0'
    environment: {FROM_ENV: compose}
    volumes: [data:/data]
  web:
    image: busybox
    command: httpd -f -p 80 -h /data
    volumes: [data:/data:ro, memory:/memory]
    networks: {front: {aliases: [site]}}
    ports: ["127.0.0.1::80"]
    labels: {role: server}
    depends_on: {seed: {condition: service_completed_successfully}}
    healthcheck:
      {test: [CMD, wget, -qO-, "http://127.0.0.1/page"], interval: 1s, start_interval: 100ms, start_period: 20s}
  reader:
    image: busybox
    command: sh -c 'wget -qO- http://site/page && sleep 300'
    networks: [front]
    depends_on: {web: {condition: service_healthy}}
  extra:
    image: busybox
    profiles: [more]
    command: sleep 300
volumes: {data: {}, memory: {driver_opts: {type: tmpfs, device: tmpfs, o: size=64k}}}
networks: {front: {}}
"""


def plugin() -> str:
    """The compose program; the test is skipped where there is none."""
    places = [Path(folder).expanduser() / "docker-compose" for folder in FOLDERS]
    found = next((str(place) for place in places if place.exists()), shutil.which("docker-compose"))
    if not found:
        pytest.skip("docker compose is not installed")
    return found


Compose = Callable[..., str]


@pytest.fixture
def compose(daemon: Engine | RemoteEngine, tidy: None, tmp_path: Path) -> Iterator[Compose]:
    """`compose("up", "-d")` in a folder with the file; what it made is gone at the end."""
    program = plugin()
    (tmp_path / "compose.yaml").write_text(SITE)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": daemon.host}

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [program, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"compose {arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    yield run
    run("--profile", "*", "down", "-v", "-t", "0")


def test_a_site(compose: Compose, daemon: Engine | RemoteEngine):
    compose("up", "-d", "--quiet-pull")
    assert sorted(compose("ps", "--services").split()) == ["reader", "web"]
    assert "seeded by compose" in compose("logs", "--no-log-prefix", "reader")
    assert compose("exec", "-T", "web", "cat", "/data/page") == "seeded by compose"
    assert compose("exec", "-T", "-e", "A=1", "reader", "sh", "-c", "echo $A; exit 3", code=3) == "1"
    address = compose("port", "web", "80")
    page = subprocess.run(["curl", "-s", "-m", "10", f"http://{address}/page"], capture_output=True, text=True)
    assert page.stdout == "seeded by compose\n"
    compose("up", "-d", "--scale", "reader=3")
    assert len(compose("ps", "-q", "reader").split()) == 3
    compose("up", "-d", "--scale", "reader=1", "--no-recreate")
    assert len(compose("ps", "-q", "reader").split()) == 1
    compose("--profile", "more", "up", "-d")
    assert "extra" in compose("ps", "--services")
    compose("stop", "-t", "0", "extra")
    compose("rm", "-f", "extra")
    compose("restart", "-t", "0", "reader")
    assert compose("run", "--rm", "-T", "--no-deps", "reader", "wget", "-qO-", "http://web/page") == "seeded by compose"
    compose("down", "-v", "-t", "0")
    label = {"label": ["com.docker.compose.project=site"]}
    assert daemon.api.ok("GET", "/containers/json", all="1", filters=label) == []
    assert daemon.api.ok("GET", "/networks", filters=label) == []
    assert not daemon.api.ok("GET", "/volumes", filters=label)["Volumes"]


def test_a_change_recreates_and_keeps_the_volume(compose: Compose, tmp_path: Path):
    compose("up", "-d", "web")
    first = compose("ps", "-q", "web")
    compose("up", "-d", "web")
    assert compose("ps", "-q", "web") == first
    (tmp_path / "compose.yaml").write_text(SITE.replace("role: server", "role: other"))
    compose("up", "-d", "-t", "0", "--no-deps", "web")
    assert compose("ps", "-q", "web") != first
    assert compose("exec", "-T", "web", "cat", "/data/page") == "seeded by compose"


def test_a_step_that_fails(compose: Compose, tmp_path: Path):
    (tmp_path / "compose.yaml").write_text(SITE.replace("exit 0", "exit 9"))
    compose("up", "-d", code=1)
    assert compose("ps", "-q", "web") == ""
