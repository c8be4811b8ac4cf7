"""Who builds the corpus: a command line on an engine; builds a case and says what has come of it."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from tests.dockerfiles import case, facts
from tests.dockerfiles.case import Case
from tests.dockerfiles.facts import Found
from tests.fixtures import debian
from tests.fixtures.cli import Cli
from tests.fixtures.http import UnixConnection

HOME = Path.home() / ".docker"
PREFIX = "corpus"
MINUTE = 60


class Ground(NamedTuple):
    """What the cases of a folder are built on: an image, and how."""

    base: str
    timeout: float
    options: tuple[str, ...] = ()


BUSYBOX = Ground("corpus-base", MINUTE)
# The network of the host, as a dockerd on it may keep containers of anybody else from the world.
DEBIAN = Ground("corpus-debian", 15 * MINUTE, ("--network=host",))
GROUNDS = {case.CORPUS: BUSYBOX, case.DEBIAN: DEBIAN}
COMMON = (
    "/var/log/*",  # lines with times
    "/var/cache/ldconfig/aux-cache",  # inodes and times of libraries
    "*.pyc",  # times of sources that were installed in the build
)
"""What of a Debian is another each time, whoever builds it; a case has its own besides."""


class Builder:
    """`docker` or `pydock` on an engine that has the image of the ground."""

    def __init__(self, program: str, host: str, home: Path = HOME, ground: Ground = BUSYBOX) -> None:
        """`home` has the plugins of the docker command line."""
        self.cli = Cli(program, host, home)
        self.ground = ground
        self._socket = host.removeprefix("unix://")
        self._base: Found | None = None

    def build(self, case: Case, folder: Path) -> "subprocess.CompletedProcess[str]":
        """Build a case in an empty folder."""
        context = case.write(folder)
        # A dockerd has kept steps of other runs, whose files may have other times.
        options = [*self.ground.options, *(["--no-cache"] if self.cli.name == "docker" else [])]
        words = ["-t", f"{PREFIX}/{case.name}", *options, *case.options(folder), str(context)]
        env = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        return self.cli.result("build", *words, env=env, timeout=self.ground.timeout)

    def facts(self, case: Case) -> list[str]:
        """Return what is in the image of a case; AssertionError when it is not built, or refused, as it says."""
        with tempfile.TemporaryDirectory() as folder:
            done = self.build(case, Path(folder))
        text = done.stdout + done.stderr
        refusal = case.refusal(self.cli.name)
        if refusal:
            assert done.returncode != 0, f"{self.cli.name} builds it: {text}"
            assert re.search(refusal, text), f"{self.cli.name}: {refusal} is not in: {text}"
            return []
        assert done.returncode == 0, f"{self.cli.name}: {text}"
        if not self._base:
            with self.saved(self.ground.base) as file:
                self._base = facts.read(file)
        varying = [*case.varying(), *(COMMON if self.ground is DEBIAN else ())]
        with self.saved(f"{PREFIX}/{case.name}") as file:
            return facts.of(file, self._base, varying)

    @contextlib.contextmanager
    def saved(self, image: str) -> Iterator[IO[bytes]]:
        """Give what `docker save` of an image writes."""
        with (
            tempfile.TemporaryFile() as file,
            contextlib.closing(UnixConnection(self._socket, self.ground.timeout)) as connection,
        ):
            connection.request("GET", f"/images/{image}/get")
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            shutil.copyfileobj(answer, file)
            file.seek(0)
            yield file

    def clear(self, names: list[str]) -> None:
        """Remove the images of cases, and the base."""
        subprocess.run(
            [*self.cli.program, "rmi", "-f", *(f"{PREFIX}/{name}" for name in names), self.ground.base],
            capture_output=True, timeout=self.ground.timeout, check=False,
        )  # fmt: skip


def base(folder: Path, ground: Ground = BUSYBOX) -> Path:
    """Write the image that every case of a ground begins with."""
    if ground is DEBIAN:
        return debian.image(folder / "base.tar", ground.base)
    return _busybox(folder, ground.base)


def _busybox(folder: Path, name: str) -> Path:
    """Write a busybox under a name of its own."""
    plain, named = folder / "busybox.tar", folder / "base.tar"
    subprocess.run([sys.executable, "-m", "pydock_daemon.images.base", str(plain)], check=True, timeout=60)
    with tarfile.open(plain) as found, tarfile.open(named, "w") as made:
        for member in found:
            file = found.extractfile(member)
            data = file.read() if file else b""
            if member.name == "manifest.json":
                data = json.dumps([{**entry, "RepoTags": [f"{name}:latest"]} for entry in json.loads(data)]).encode()
                member.size = len(data)
            if member.name != "index.json":
                made.addfile(member, BytesIO(data) if file else None)
    return named
