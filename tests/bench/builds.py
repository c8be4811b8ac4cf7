"""Builds: `pydock build` beside `docker build` with buildx. Used by `rows`; contexts are made once for each side."""

import functools
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.engines import Side
from tests.fixtures import debian
from tests.fixtures.cli import Cli

FOLDERS, FILES, SIZE = 200, 100, 26_000
TEN = "FROM busybox\n" + "".join(f"RUN echo {number} >/step-{number}\n" for number in range(10))
COPIES = "FROM busybox\n" + "".join(f"COPY small /copy-{number}\n" for number in range(10))
STAGES = "".join(f"FROM busybox AS s{number}\nRUN sleep 2; echo {number} >/out\n" for number in range(3))
STAGES += "FROM scratch\n" + "".join(f"COPY --from=s{number} /out /{number}\n" for number in range(3))
LARGE = "FROM busybox\nCOPY . /all/\nRUN ls /all >/list\n"
INSTALL = "RUN apt-get install -y --no-install-recommends"
APT = f"""FROM bench-debian
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update
{INSTALL} less
{INSTALL} bc file
{INSTALL} jq
{INSTALL} netcat-openbsd
RUN rm -rf /var/lib/apt/lists/*
RUN useradd --create-home app
COPY --chown=app small /home/app/
USER app
"""
# Both on the network of the host: a dockerd that runs on it may keep containers of others from the world.
HOST_NETWORK = "--network=host"
LIMIT = 600


def _build(side: Side, text: str, folder: Path, *options: str) -> float:
    """Build a Dockerfile and return the seconds that it took."""
    file = side.home / "Dockerfile.bench"
    file.write_text(text)
    # The plugin that docker's command line builds with is in the user's own folder.
    cli = side.cli if side.name == "pydock" else Cli("docker", f"unix://{side.socket}", Path.home() / ".docker")
    begun = time.perf_counter()
    done = cli.result(
        "build", "-q", "-t", "bench-build", "-f", str(file), *options, str(folder), timeout=LIMIT,
        env={"DOCKER_BUILDKIT": "1", "XDG_CACHE_HOME": str(side.home / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - begun


def _small(side: Side) -> Path:
    folder = side.home / "small"
    if not folder.exists():
        folder.mkdir()
        (folder / "small").write_text("small\n")
    return folder


def _large(side: Side) -> Path:
    folder = side.home / "large"
    if not folder.exists():
        numbers = random.Random(1)
        for number in range(FOLDERS):
            place = folder / f"d{number}"
            place.mkdir(parents=True)
            for other in range(FILES):
                (place / f"f{other}").write_bytes(numbers.randbytes(SIZE // 2).hex().encode())
    return folder


def cold(text: str, *options: str) -> Callable[[Side], float]:
    """Nothing from the cache."""

    def measure(side: Side) -> float:
        _base(side, text)
        return _build(side, text, _small(side), "--no-cache", *options)

    return measure


def cached(text: str, *options: str) -> Callable[[Side], float]:
    """Everything from the cache."""

    def measure(side: Side) -> float:
        _base(side, text)
        _build(side, text, _small(side), *options)
        return _build(side, text, _small(side), *options)

    return measure


def _base(side: Side, text: str) -> None:
    """Load the Debian that a Dockerfile may begin with, unless the engine has it."""
    if text is APT and side.api("GET", "/images/bench-debian/json").status == 404:
        side.api.ok("POST", "/images/load", _debian())


@functools.cache
def _debian() -> bytes:
    with tempfile.TemporaryDirectory(prefix="pydock-bench-debian-") as folder:
        return debian.image(Path(folder) / "debian.tar", "bench-debian").read_bytes()


def large(side: Side) -> float:
    """COPY of 20,000 files, none of which the engine has."""
    return _build(side, LARGE, _large(side), "--no-cache")


def large_again(side: Side) -> float:
    """The same again, with nothing changed."""
    folder = _large(side)
    _build(side, LARGE, folder)
    return _build(side, LARGE, folder)


def large_changed(side: Side) -> float:
    """One of 20,000 files has changed."""
    folder = _large(side)
    _build(side, LARGE, folder)
    (folder / "d7/f7").write_text(os.urandom(8).hex())
    return _build(side, LARGE, folder)
