"""Fixtures of the client's tests: both command lines against a recorder, each with a home of its own."""

import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.client.recorder import Answers, Recorder, Request
from tests.fixtures.cli import Cli

Sent = tuple[subprocess.CompletedProcess[str], list[Request]]
Send = Callable[..., Sent]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A daemon that remembers what it was asked."""
    with Recorder(tmp_path / "recorder.sock") as made:
        yield made


@pytest.fixture
def pydock(recorder: Recorder, tmp_path: Path) -> Cli:
    """Our command line, with the recorder as its daemon."""
    return Cli("pydock", recorder.host, tmp_path)


@pytest.fixture
def send(tmp_path: Path) -> Send:
    """Call a program with a recorder of its own: `result, requests = send("docker", "ps", answers={...})`."""

    def call(program: str, *arguments: str, answers: Answers | None = None, stdin: str | None = None) -> Sent:
        with Recorder(tmp_path / "one.sock", answers) as recorder:
            result = Cli(program, recorder.host, tmp_path).result(*arguments, stdin=stdin)
            return result, recorder.requests

    return call


@functools.cache
def docker_version() -> tuple[int, ...]:
    """The version of the docker command line; (0,) when there is none."""
    if not shutil.which("docker"):
        return (0,)
    text = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def needs_docker(*version: int) -> None:
    """Skip a test that compares with a docker command line that is not here, or is older."""
    if docker_version() == (0,):
        pytest.skip("the docker command line is not installed")
    if docker_version() < version:
        pytest.skip(f"docker {docker_version()} is older than {version}")
