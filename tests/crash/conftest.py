"""An image of several layers that takes its time, as an archive, in a registry and as a build; a store looked into."""

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.fixtures.archives import Entry, docker_archive, entry, folder, tar
from tests.fixtures.engine import Engine
from tests.fixtures.registry import serving


class Image(NamedTuple):
    """The image as a file for `load`, its name in the registry, and a context that builds it anew."""

    archive: bytes
    remote: str
    context: bytes


@pytest.fixture(scope="session")
def image(base_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    layers = [_first_layer(base_archive), *(_layer(number) for number in range(3))]
    archive = docker_archive(layers, ["made:loaded"])
    path = tmp_path_factory.mktemp("image") / "image.tar"
    path.write_bytes(archive)
    with serving(tmp_path_factory.mktemp("registry")) as registry:
        registry.copy(f"docker-archive:{path}", "made:pulled")
        name = registry.name("made:pulled")
        yield Image(archive, name, _context(name))


def _first_layer(archive: Path) -> bytes:
    with tarfile.open(archive) as opened:
        (about,) = json.load(opened.extractfile("manifest.json") or io.BytesIO())
        found = opened.extractfile(about["Layers"][0])
        assert found
        return found.read()


def _layer(number: int) -> bytes:
    source = random.Random(number)
    members: list[Entry] = [folder(f"layer{number}")]
    members += [entry(f"layer{number}/{index}", source.randbytes(12_000)) for index in range(150)]
    return tar(members)


def _context(base: str) -> bytes:
    lines = [f"FROM {base}", "COPY data /data", "RUN cp /data /copy", "RUN --mount=type=cache,target=/c date >/c/x"]
    return tar([entry("Dockerfile", "\n".join(lines).encode()), entry("data", random.Random(9).randbytes(2_000_000))])


@pytest.fixture
def engine(fresh_daemon: Callable[..., Engine]) -> Engine:
    return fresh_daemon()


def bytes_of(folder: Path) -> int:
    """The bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def emptied(engine: Engine) -> dict[str, int]:
    """The bytes that are left in each folder of the store after everything was removed and pruned."""
    engine.clear()
    for path, query in (("/build/prune", {"all": "1"}), ("/images/prune", {"filters": {"dangling": ["false"]}})):
        engine.api.ok("POST", path, **query)
    engine.clear()
    return {name: bytes_of(engine.root / "data" / name) for name in ("content", "overlay", "volumes", "containers")}


EMPTY = {"content": 0, "overlay": 0, "volumes": 0, "containers": 0}
