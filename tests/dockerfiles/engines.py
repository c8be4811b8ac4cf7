"""Who builds the corpus: a command line on an engine; builds a case and says what has come of it."""

import contextlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from tests.dockerfiles import facts
from tests.dockerfiles.case import BASE, Case
from tests.fixtures.cli import Cli
from tests.fixtures.http import UnixConnection

HOME = Path.home() / ".docker"
PREFIX = "corpus"
TIMEOUT = 60


class Builder:
    """`docker` or `pydock` on an engine that has the image `corpus-base`."""

    def __init__(self, program: str, host: str, home: Path = HOME) -> None:
        """`home` has the plugins of the docker command line."""
        self.cli = Cli(program, host, home)
        self._socket = host.removeprefix("unix://")
        self._base = b""

    def build(self, case: Case, folder: Path) -> "subprocess.CompletedProcess[str]":
        """Build a case in an empty folder."""
        context = case.write(folder)
        words = ["build", "-t", f"{PREFIX}/{case.name}", *case.options(folder), str(context)]
        return self.cli.result(*words, env={"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}, timeout=TIMEOUT)

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
            self._base = self.saved(BASE)
        return facts.of(self.saved(f"{PREFIX}/{case.name}"), self._base)

    def saved(self, image: str) -> bytes:
        """Return what `docker save` of an image writes."""
        with contextlib.closing(UnixConnection(self._socket, TIMEOUT)) as connection:
            connection.request("GET", f"/images/{image}/get")
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status == 200, data[:200]
            return data

    def clear(self, names: list[str]) -> None:
        """Remove the images of cases, and the base."""
        subprocess.run(
            [*self.cli.program, "rmi", "-f", *(f"{PREFIX}/{name}" for name in names), BASE],
            capture_output=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip


def base(folder: Path) -> Path:
    """Write the image that every case begins with: a busybox under a name of its own."""
    plain, named = folder / "busybox.tar", folder / "base.tar"
    subprocess.run([sys.executable, "-m", "pydock_daemon.images.base", str(plain)], check=True, timeout=60)
    with tarfile.open(plain) as found, tarfile.open(named, "w") as made:
        for member in found:
            file = found.extractfile(member)
            data = file.read() if file else b""
            if member.name == "manifest.json":
                data = json.dumps([{**entry, "RepoTags": [f"{BASE}:latest"]} for entry in json.loads(data)]).encode()
                member.size = len(data)
            if member.name != "index.json":
                made.addfile(member, BytesIO(data) if file else None)
    return named
