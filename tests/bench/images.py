"""What it takes to move images: pull, load, save and push beside one registry, and memory meanwhile. Used by `rows`.

The images are made at first use and kept for the run: a Debian as mmdebstrap makes it, twelve layers of small files,
and two gigabytes that no compression makes smaller. Before each measurement an image is removed and the disk comes to
rest; what is measured ends with the engine's answer.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.bench.engines import Side, pss
from tests.fixtures import archives, debian
from tests.fixtures.engine import eventually
from tests.fixtures.http import UnixConnection
from tests.fixtures.registry import Registry, program, serving

PIECE = 1 << 20
LAYERS, FOLDERS, FILES = 12, 50, 100
LARGE = 2 << 30
NO_CREDENTIALS = {"X-Registry-Auth": "e30="}


class Shelf:
    """The images as archives of `docker save`'s form, and in a registry; in a folder that goes with the program."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pydock-bench-images-")))
        self.registry: Registry = self._stack.enter_context(serving(self.folder / "registry"))
        self.made: set[str] = set()

    def close(self) -> None:
        """Stop the registry and remove everything."""
        self._stack.close()

    def archive(self, name: str) -> Path:
        """An image as a file, its layers not compressed."""
        path = self.folder / f"{name}.tar"
        if name not in self.made:
            MAKERS[name](path)
            copy = [program("skopeo"), "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
            subprocess.run([*copy, f"docker-archive:{path}", f"docker://{self.name(name)}"], check=True)
            self.made.add(name)
        return path

    def name(self, name: str) -> str:
        """An image's reference in the registry."""
        return self.registry.name(f"{name}:bench")


@functools.cache
def shelf() -> Shelf:
    """The one of this run."""
    return Shelf()


def close(sides: Iterable[Side]) -> None:
    """Remove what measurements have made here and in the engines, if there were any."""
    if shelf.cache_info().currsize:
        for side in sides:
            for name in shelf().made:
                _absent(side, name)
        shelf().close()


def _debian(path: Path) -> None:
    root = debian.root_file_system(path.with_name("root.tar"), whole=True)
    _image(path, "debian", [root.read_bytes()])
    root.unlink()


def _small(path: Path) -> None:
    """Twelve layers, each with five thousand files of up to six kilobytes."""
    letters = os.urandom(4096).hex().encode()
    layers = []
    for layer in range(LAYERS):
        members = []
        for number in range(FOLDERS):
            members.append(archives.folder(f"l{layer}/d{number}"))
            for file in range(FILES):
                begin = (layer * 977 + number * 131 + file * 17) % 4000
                data = letters[begin : begin + begin % 3000 + 100] * 2
                members.append(archives.entry(f"l{layer}/d{number}/f{file}", data, mtime=1_700_000_000 + file))
        layers.append(archives.tar(members))
    _image(path, "small", layers)


def _large(path: Path) -> None:
    _image(path, "large", [archives.tar([archives.entry(f"f{n}", os.urandom(LARGE // 8)) for n in range(8)])])


def _image(path: Path, name: str, layers: list[bytes]) -> None:
    path.write_bytes(archives.docker_archive(layers, [f"{name}:bench"]))


MAKERS: dict[str, Callable[[Path], None]] = {"debian": _debian, "small": _small, "large": _large}


def pulled(name: str) -> Callable[[Side], float]:
    """Seconds of a pull."""

    def measure(side: Side) -> float:
        shelf().archive(name)
        _absent(side, name)
        with _time() as taken:
            _pull(side, name)
        return taken()

    return measure


def loaded(name: str) -> Callable[[Side], float]:
    """Seconds of a load of the archive, its layers not compressed."""

    def measure(side: Side) -> float:
        archive = shelf().archive(name)
        _absent(side, name)
        with archive.open("rb") as body, _time() as taken:
            _ask(side, "POST", "/images/load?quiet=1", body, {"Content-Length": str(archive.stat().st_size)})
        return taken()

    return measure


def saved(name: str) -> Callable[[Side], float]:
    """Seconds of a save of an image that was pulled."""

    def measure(side: Side) -> float:
        _present(side, name)
        with _time() as taken:
            _ask(side, "GET", f"/images/{shelf().name(name)}/get")
        return taken()

    return measure


def pushed(name: str) -> Callable[[Side], float]:
    """Seconds of a push, to a registry that has nothing, of an image that was pulled."""

    def measure(side: Side) -> float:
        _present(side, name)
        empty = shelf().folder / "empty"
        with serving(empty) as registry:
            target = registry.name(name)
            _ask(side, "POST", f"/images/{shelf().name(name)}/tag?repo={target}&tag=bench")
            with _time() as taken:
                _ask(side, "POST", f"/images/{target}/push?tag=bench", None, NO_CREDENTIALS)
            _ask(side, "DELETE", f"/images/{target}:bench")
        shutil.rmtree(empty)
        return taken()

    return measure


def memory_of_a_pull(side: Side) -> float:
    """Megabytes by which all processes of an engine grow at most while it pulls two gigabytes."""
    shelf().archive("large")
    _absent(side, "large")
    before, most, done = pss(side.processes()), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.2):
            most = max(most, pss(side.processes()))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        _pull(side, "large")
    finally:
        done.set()
        watching.join()
    _absent(side, "large")
    return most - before


def _pull(side: Side, name: str) -> None:
    _ask(side, "POST", f"/images/create?fromImage={shelf().name(name)}")


def _present(side: Side, name: str) -> None:
    shelf().archive(name)
    if side.api("GET", f"/images/{shelf().name(name)}/json").status == 404:
        _pull(side, name)
    _rest(side)


def _absent(side: Side, name: str) -> None:
    for reference in (shelf().name(name), f"{name}:bench"):
        side.api("DELETE", f"/images/{reference}", timeout=120, force="1")
    _rest(side)


def _rest(side: Side) -> None:
    """Wait for what is removed in the background, and for the disk."""
    trash = side.home / "data/overlay/trash"
    eventually(lambda: not trash.is_dir() or not any(trash.iterdir()), timeout=120)
    os.sync()


@contextlib.contextmanager
def _time() -> Iterator[Callable[[], float]]:
    begun, ended = time.perf_counter(), 0.0
    yield lambda: ended - begun
    ended = time.perf_counter()


def _ask(side: Side, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> None:
    """Send a request and take in the answer as it comes; an error within it is one."""
    with contextlib.closing(UnixConnection(side.socket, timeout=600)) as connection:
        connection.blocksize = PIECE
        kind = {"Content-Type": "application/x-tar"} if body else {}
        connection.request(method, path, body, kind | (headers or {}))  # type: ignore[arg-type]
        response = connection.getresponse()
        end = b""
        while piece := response.read(PIECE):
            end = (end + piece)[-2000:]
        assert response.status < 300, (path, response.status, end)
        assert b'"errorDetail"' not in end, (path, end)
