"""BuildKit's protocols by docker of any age, and by its plugins where they are installed."""

import json
from pathlib import Path

import pytest
from tests.fixtures.buildkit import write
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.http import Api
from tests.fixtures.plugins import Plugin, plugin

pytestmark = pytest.mark.root


def test_the_docker_command_line(docker: Cli, tmp_path: Path) -> None:
    """By whichever protocol it speaks of itself: its own older one of BuildKit, buildx, or the classic one."""
    write(tmp_path, {"Dockerfile": "FROM busybox\nARG N\nRUN echo said $N; test $N != 3\n"})
    done = docker.result("build", "-t", "cmd:1", "--build-arg", "N=1", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "said 1" in done.stdout + done.stderr
    assert docker("image", "inspect", "-f", "{{.Config.Cmd}}", "cmd:1")
    done = docker.result("build", "--build-arg", "N=3", str(tmp_path))
    assert done.returncode != 0
    done = docker.result("build", "-q", "-", stdin="FROM busybox\nENV A=1\n")
    assert docker("run", "--rm", done.stdout.strip(), "sh", "-c", "echo $A") == "1"


@pytest.fixture
def buildx(daemon: Engine, tmp_path: Path) -> Plugin:
    return plugin("docker-buildx", daemon, tmp_path)


@pytest.fixture
def compose(daemon: Engine, tmp_path: Path) -> Plugin:
    return plugin("docker-compose", daemon, tmp_path)


COMPOSED = """
name: made
services:
  one:
    build: {context: app, args: {WHO: one}, target: first}
  two:
    build: {context: app, args: {WHO: two}, secrets: [word]}
secrets: {word: {file: word}}
"""
MADE = """
FROM busybox AS first
ARG WHO
COPY f /f
RUN echo $WHO >/who
FROM first
RUN --mount=type=secret,id=word cat /run/secrets/word >>/who
"""


def test_compose_builds(api: Api, docker: Cli, compose: Plugin, tmp_path: Path) -> None:
    write(tmp_path, {"compose.yaml": COMPOSED, "app/Dockerfile": MADE, "app/f": "f", "word": "hush"})
    compose("-f", str(tmp_path / "compose.yaml"), "build")
    assert docker("run", "--rm", "made-one", "cat", "/who") == "one"
    assert docker("run", "--rm", "made-two", "cat", "/who") == "two\nhush"


def test_buildx(api: Api, buildx: Plugin, tmp_path: Path) -> None:
    project = write(
        tmp_path / "p", {"Dockerfile": "FROM busybox\nCOPY . /c\nRUN echo said; cat /c/x/y\n", "x/y": "content\n"}
    )
    metadata = tmp_path / "metadata"
    options = ("build", "--progress", "plain", "-t", "bx:1", "--metadata-file", str(metadata))
    told = buildx(*options, str(project))
    assert "[3/3] RUN echo said; cat /c/x/y" in told
    assert "said" in told
    assert json.loads(metadata.read_text())["containerimage.digest"] == api.ok("GET", "/images/bx:1/json")["Id"]
    assert buildx(*options, str(project)).count("CACHED") == 2
    secret = write(tmp_path, {"secret": "hush"}) / "secret"
    other = write(tmp_path / "o", {"f": "from elsewhere"})
    write(
        project, {"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=s cp /run/secrets/s /s\nCOPY --from=o f /\n"}
    )
    out, asked = tmp_path / "out", ("--secret", f"id=s,src={secret}", "--build-context", f"o={other}")
    buildx("build", *asked, "-o", str(out), str(project))
    assert (out / "s").read_text() + (out / "f").read_text() == "hushfrom elsewhere"
    assert (out / "bin/cat").stat().st_ino == (out / "bin/ls").stat().st_ino
    assert "running" in buildx("ls")
    assert "Total:" in buildx("du")
    write(project, {"Dockerfile": "FROM busybox\nRUN exit 5\n"})
    told = buildx(*options, str(project), code=1)
    assert "2 | >>> RUN exit 5" in told
    assert told.strip().endswith('process "/bin/sh -c exit 5" did not complete successfully: exit code: 5')


BAKED = """
group "default" { targets = ["base", "upon"] }
target "base" {
  args = { WHO = "first" }
  tags = ["baked:base"]
}
target "upon" {
  dockerfile-inline = "FROM base\\nRUN cat /who >/again"
  contexts = { base = "target:base" }
  tags = ["baked:upon"]
}
"""


def test_bake(docker: Cli, buildx: Plugin, tmp_path: Path) -> None:
    """A target stands on the result of another, which it is given by name."""
    project = write(tmp_path / "p", {"Dockerfile": "FROM busybox\nARG WHO\nRUN echo $WHO >/who\n", "b.hcl": BAKED})
    buildx("bake", "-f", str(project / "b.hcl"), "--set", f"*.context={project}")
    assert docker("run", "--rm", "baked:upon", "cat", "/again") == "first"
