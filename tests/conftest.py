"""Fixtures of the whole suite: daemons of its own, the command lines, raw HTTP, docker-py, a registry.

PYDOCK_TEST_HOST=unix:///... runs the tests that need no daemon of their own against another engine, dockerd for one:
a test that fails there is a wrong test.
"""

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_py
import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api
from tests.fixtures.leaks import left_behind, picture

TOOLS = Path(__file__).parents[1] / ".venv/tools/usr/bin"
OTHER_HOST = os.environ.get("PYDOCK_TEST_HOST")

os.environ["PATH"] = f"{TOOLS}:{os.environ['PATH']}"


@pytest.fixture(scope="session")
def base_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """busybox:latest as an archive for `load`, from this machine's static busybox."""
    path = tmp_path_factory.mktemp("base") / "busybox.tar"
    subprocess.run([sys.executable, "-m", "pydock_daemon.images.base", str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine | RemoteEngine]:
    """The daemon of the session, with busybox:latest; at its end nothing of it is left on the host."""
    if OTHER_HOST:
        with contextlib.closing(RemoteEngine(OTHER_HOST, tmp_path_factory.mktemp("remote"))) as remote:
            yield remote
        return
    base_archive: Path = request.getfixturevalue("base_archive")
    before = picture()
    engine = Engine(tmp_path_factory.mktemp("engine"))
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base_archive.read_bytes())
        yield engine
    finally:
        engine.destroy()
    assert left_behind(before, engine.marks) == []


@pytest.fixture
def fresh_daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """A factory of daemons that a test may kill: `fresh_daemon("--log-level", "debug")`."""
    if OTHER_HOST:
        pytest.skip("PYDOCK_TEST_HOST names a daemon that is not ours to start")
    base_archive: Path = request.getfixturevalue("base_archive")
    before, engines = picture(), list[Engine]()

    def make(*options: str) -> Engine:
        root = tmp_path / f"engine{len(engines)}"
        root.mkdir()
        engines.append(Engine(root, *options))
        engines[-1].start()
        engines[-1].api.ok("POST", "/images/load", base_archive.read_bytes())
        return engines[-1]

    try:
        yield make
    finally:
        for engine in engines:
            engine.destroy()
    assert left_behind(before, [mark for engine in engines for mark in engine.marks]) == []


@pytest.fixture(scope="module")
def own_daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A daemon that the tests of one module share, and do with as they like."""
    if OTHER_HOST:
        pytest.skip("PYDOCK_TEST_HOST names a daemon that is not ours to start")
    base_archive: Path = request.getfixturevalue("base_archive")
    before, engine = picture(), Engine(tmp_path_factory.mktemp("engine"))
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base_archive.read_bytes())
        yield engine
    finally:
        engine.destroy()
    assert left_behind(before, engine.marks) == []


@pytest.fixture
def tidy(daemon: Engine | RemoteEngine) -> Iterator[None]:
    """Whatever the test made in the session's daemon is removed after it."""
    yield
    daemon.clear()


@pytest.fixture
def docker(daemon: Engine | RemoteEngine, tidy: None, tmp_path: Path) -> Cli:
    """The real docker command line."""
    return Cli("docker", daemon.host, tmp_path)


@pytest.fixture
def pydock(daemon: Engine | RemoteEngine, tidy: None, tmp_path: Path) -> Cli:
    """Our own command line."""
    return Cli("pydock", daemon.host, tmp_path)


@pytest.fixture(params=["docker", "pydock"])
def cli(request: pytest.FixtureRequest, daemon: Engine | RemoteEngine, tidy: None, tmp_path: Path) -> Cli:
    """Each of both command lines in turn: a person must not be able to tell them apart."""
    return Cli(request.param, daemon.host, tmp_path)


@pytest.fixture
def api(daemon: Engine | RemoteEngine, tidy: None) -> Api:
    """Plain HTTP requests to the session's daemon."""
    return daemon.api


@pytest.fixture
def client(daemon: Engine | RemoteEngine, tidy: None) -> Iterator[docker_py.DockerClient]:
    """docker-py on the session's daemon."""
    with contextlib.closing(docker_py.DockerClient(base_url=daemon.host, timeout=60)) as made:
        yield made
    gc.collect()  # what docker-py leaves open is closed within the test that made it
