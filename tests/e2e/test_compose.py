"""docker compose v2: dependencies with health and completion, build, scale, networks, volumes, profiles.

Also against a dockerd, with PYDOCK_TEST_HOST.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.registry import free_port
from tests.fixtures.web import fetch

PLUGINS = (
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    os.path.expanduser("~/.docker/cli-plugins"),
)
Compose = Callable[..., str]

FILE = """
services:
  prepare:
    image: busybox
    command: sh -c 'echo prepared >/data/page'
    volumes: [data:/data]
  db:
    image: busybox
    command: sh -c 'sleep 0.5; touch /ready; exec sleep 1000'
    networks: [back]
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 200ms, retries: 50}
  web:
    build: {context: ., args: {WORD: built}}
    depends_on:
      prepare: {condition: service_completed_successfully}
      db: {condition: service_healthy}
    volumes: [data:/data]
    networks: {front: {aliases: [site]}, back: {}}
    ports: ["${PORT}:80"]
    environment: {MODE: "${MODE:-plain}"}
    stop_grace_period: 1s
  worker:
    image: busybox
    command: sleep 1000
    networks: [front]
    stop_signal: SIGKILL
  extra:
    image: busybox
    command: sleep 1000
    profiles: [more]
    stop_signal: SIGKILL
networks: {front: {}, back: {internal: true}}
volumes: {data: {}}
"""
DOCKERFILE = """
FROM busybox
ARG WORD
RUN echo $WORD >/word
CMD ["sh", "-c", "mkdir -p /www && cat /data/page /word >/www/index.html && exec httpd -f -p 80 -h /www"]
"""


@pytest.fixture
def compose(daemon: Engine | RemoteEngine, tmp_path: Path) -> Iterator[Compose]:
    """Run compose on a project that is taken down at the end."""
    program = shutil.which("docker-compose", path=os.pathsep.join((*PLUGINS, os.environ["PATH"])))
    if program is None:
        pytest.skip("needs docker compose v2 (docker-compose on PATH or among the plugins of the docker program)")
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(FILE)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    environment = {"DOCKER_HOST": daemon.host, "PORT": str(free_port()), "DOCKER_BUILDKIT": "0", "HOME": str(tmp_path)}

    def run(*arguments: str, fails: bool = False, **more: str) -> str:
        done = subprocess.run(
            [program, "--ansi", "never", "--project-name", "shop", *arguments],
            cwd=folder,
            env={**os.environ, **environment, **more},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout.strip() if not fails else done.stdout + done.stderr

    run.port = environment["PORT"]  # type: ignore[attr-defined]
    run.folder = folder  # type: ignore[attr-defined]
    yield run
    run("--profile", "more", "down", "-v", "--remove-orphans", "--rmi", "local", "-t", "0")


def states(compose: Compose) -> dict[str, str]:
    lines = [json.loads(line) for line in compose("ps", "-a", "--format", "json").splitlines()]
    return {line["Name"]: line["State"] for line in lines}


def test_a_project_from_up_to_down(compose: Compose, docker: Cli):
    compose("up", "-d", "--build")
    assert states(compose) == {
        "shop-db-1": "running",
        "shop-prepare-1": "exited",
        "shop-web-1": "running",
        "shop-worker-1": "running",
    }
    eventually(lambda: fetch("127.0.0.1", compose.port) == "prepared\nbuilt")  # type: ignore[attr-defined]
    assert compose("exec", "-T", "web", "sh", "-c", "echo $MODE") == "plain"
    assert compose("port", "web", "80").endswith(f":{compose.port}")  # type: ignore[attr-defined]
    assert "1 packets received" in compose("exec", "-T", "worker", "ping", "-c1", "-W3", "site")
    assert "1 packets received" in compose("exec", "-T", "web", "ping", "-c1", "-W3", "db")
    shown = json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "shop-web-1"))
    assert set(shown) == {"shop_front", "shop_back"}
    compose("up", "-d", "--scale", "worker=3")
    assert sum(name.startswith("shop-worker-") for name in states(compose)) == 3
    compose("--profile", "more", "up", "-d", "extra")
    assert states(compose)["shop-extra-1"] == "running"
    compose("--profile", "more", "down", "-v", "-t", "0")
    assert docker("ps", "-aq", "--filter", "label=com.docker.compose.project=shop") == ""
    assert docker("network", "ls", "-q", "--filter", "label=com.docker.compose.project=shop") == ""
    assert docker("volume", "ls", "-q", "--filter", "label=com.docker.compose.project=shop") == ""


def test_only_what_has_changed_is_made_anew(compose: Compose, docker: Cli):
    compose("up", "-d", "worker", "web")
    before = {name: docker("inspect", "-f", "{{.Id}}", name) for name in ("shop-web-1", "shop-worker-1")}
    compose("up", "-d", "web", "worker", MODE="other")
    after = {name: docker("inspect", "-f", "{{.Id}}", name) for name in before}
    assert after["shop-worker-1"] == before["shop-worker-1"]
    assert after["shop-web-1"] != before["shop-web-1"]
    assert compose("exec", "-T", "web", "sh", "-c", "echo $MODE") == "other"


def test_logs_run_and_restart(compose: Compose, docker: Cli):
    assert compose("run", "--rm", "-T", "--no-deps", "worker", "echo", "once") == "once"
    assert compose("run", "--rm", "-T", "prepare") == ""
    compose("up", "-d", "worker")
    compose("exec", "-T", "worker", "true")
    compose("restart", "-t", "0", "worker")
    compose("stop", "-t", "0")
    assert states(compose)["shop-worker-1"] == "exited"
    compose("start", "worker")
    assert states(compose)["shop-worker-1"] == "running"
    (compose.folder / "more.yaml").write_text("services: {say: {image: busybox, command: echo said}}")  # type: ignore[attr-defined]
    compose("-f", "compose.yaml", "-f", "more.yaml", "up", "--no-log-prefix", "say")
    assert "said" in compose("-f", "compose.yaml", "-f", "more.yaml", "logs", "say")


def test_what_fails_says_so(compose: Compose):
    (compose.folder / "Dockerfile").write_text("FROM busybox\nRUN exit 5\n")  # type: ignore[attr-defined]
    assert "returned a non-zero code: 5" in compose("build", "web", fails=True)
    (compose.folder / "bad.yaml").write_text("services: {x: {image: 'nothing.invalid/none:1'}}")  # type: ignore[attr-defined]
    assert "nothing.invalid" in compose("-f", "bad.yaml", "up", "-d", fails=True)
