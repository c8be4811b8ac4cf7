"""The plain snapshotter, of which Docker says `vfs`: run, build, commit, diff, cp and a restart on whole trees."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.leaks import left_behind, picture

OTHER_HOST = os.environ.get("PYDOCK_TEST_HOST")
DOCKERFILE = """\
FROM busybox
RUN mkdir /d && echo one >/d/one && echo two >/d/two && ln /d/two /d/same && ln -s two /d/link
RUN rm /d/one && echo three >/d/three
COPY large /new/large
RUN --mount=type=bind,target=/context cat /context/Dockerfile >/copied
FROM busybox AS other
COPY --from=0 /d /e
RUN rm -r /e && mkdir /e && echo new >/e/new
"""


@pytest.fixture(scope="module")
def vfs(tmp_path_factory: pytest.TempPathFactory, base_archive: Path) -> Iterator[Engine]:
    """A daemon with whole trees."""
    if OTHER_HOST:
        pytest.skip("PYDOCK_TEST_HOST names a daemon that is not ours to start")
    before = picture()
    engine = Engine(tmp_path_factory.mktemp("vfs"), "--storage-driver", "vfs")
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base_archive.read_bytes())
        yield engine
    finally:
        engine.destroy()
    assert left_behind(before, engine.marks) == []


@pytest.fixture
def cli(vfs: Engine, tmp_path: Path) -> Cli:
    """Our command line."""
    return Cli("pydock", vfs.host, tmp_path)


def test_it_says_so(vfs: Engine, cli: Cli) -> None:
    info = vfs.api.ok("GET", "/info")
    assert (info["Driver"], info["DriverStatus"]) == ("vfs", None)
    assert vfs.api.ok("GET", "/images/busybox/json")["GraphDriver"] == {"Data": None, "Name": "vfs"}
    cli("create", "--name", "named", "busybox", "true")
    shown = vfs.api.ok("GET", "/containers/named/json")
    assert (shown["Driver"], shown["GraphDriver"]) == ("vfs", {"Data": None, "Name": "vfs"})
    cli("rm", "named")


def test_run_diff_commit_and_run_again(cli: Cli) -> None:
    script = "echo x >/new; rm /bin/vi; rm -r /var; mkdir /var; touch /var/y; chmod 700 /tmp; ln /new /twin"
    cli("run", "--name", "first", "busybox", "sh", "-c", script)
    assert sorted(cli("diff", "first").splitlines()) == [
        "A /new", "A /twin", "A /var/y", "C /bin", "C /tmp", "C /var", "D /bin/vi", "D /var/spool",
        "D /var/tmp", "D /var/www",
    ]  # fmt: skip
    cli("commit", "first", "second:1")
    seen = cli("run", "--rm", "second:1", "sh", "-c", "cat /new; ls /var; ls /bin/vi || stat -c '%a %h' /tmp /twin")
    assert seen.splitlines() == ["x", "y", "700 2", "644 2"]
    assert "x" in cli("export", "first")
    cli("rm", "first")
    cli("rmi", "second:1")


def test_files_of_a_stopped_container(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given")
    cli("create", "--name", "still", "-v", "/vol", "busybox", "cat", "/in", "/vol/in")
    cli("cp", str(tmp_path / "in"), "still:/in")
    cli("cp", str(tmp_path / "in"), "still:/vol/in")
    assert cli("start", "-a", "still") == "givengiven"
    cli("cp", "still:/vol/in", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "given"
    cli("rm", "-v", "still")


def test_a_build_of_several_stages(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "large").write_bytes(os.urandom(1 << 20))  # more than a pipe holds
    cli("build", "-t", "built:1", str(tmp_path))
    assert cli("run", "--rm", "built:1", "ls", "/e") == "new"
    archive = tmp_path / "built.tar"
    cli("save", "-o", str(archive), "built:1")
    cli("rmi", "built:1")
    cli("load", "-i", str(archive))
    assert cli("run", "--rm", "built:1", "ls", "/e") == "new"
    cli("rmi", "built:1")


def test_containers_and_images_outlive_the_daemon(vfs: Engine, cli: Cli) -> None:
    cli("run", "--name", "kept", "busybox", "touch", "/here")
    assert vfs.stop() == 0
    wrong = subprocess.run(
        [*vfs.command[: -len(vfs.options)], "--storage-driver", "overlay2"], capture_output=True, text=True, timeout=30
    )
    assert wrong.returncode == 1
    assert "contains layers of storage driver vfs: overlay2 needs a data root of its own" in wrong.stderr
    vfs.start()
    assert "A /here" in cli("diff", "kept").splitlines()
    cli("rm", "kept")
    cli("system", "check")
