"""An image store of its own for each test, a registry for the module's tests, and what a registry's client reported."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.forks import FORKS
from tests.fixtures.registry import Registry, serving

from pydock_daemon import events
from pydock_daemon.config import Config
from pydock_daemon.events import Events
from pydock_daemon.images import pull, service
from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.load import load
from pydock_daemon.images.model import Image, Platform
from pydock_daemon.images.service import Images
from pydock_daemon.snapshots import overlay
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_daemon.store import Store
from pydock_shared import reference


class Shop:
    """Images and snapshots below one folder, with the records that operations sent."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.settings = settings
        self.records: list[dict[str, Any]] = []
        self.expected: dict[str, asyncio.Event] = {}

    async def open(self) -> None:
        """Open, for the first time or again."""
        self.store = Store.open(self.root / "db", [events.SCHEMA, service.SCHEMA, overlay.SCHEMA])
        self.events = Events(self.store)
        self.snapshots = Snapshots(self.root / "overlay", self.store)
        self.snapshots.forks = FORKS
        config = Config(data_root=self.root, **self.settings)
        self.images = Images(self.root / "content", self.store, self.events, self.snapshots, config)
        self.images.patience = 0.01
        await self.images.open()

    async def close(self) -> None:
        """Close and wait for removals."""
        await self.images.close()
        self.snapshots.close()
        self.store.close()

    async def send(self, record: dict[str, Any]) -> None:
        """Take a record of progress."""
        self.records.append(record)
        if record.get("status") in self.expected:
            self.expected[record["status"]].set()

    def expect(self, status: str) -> asyncio.Event:
        """What is set when a record with this status comes."""
        return self.expected.setdefault(status, asyncio.Event())

    def said(self, id_: str | None = None) -> list[str]:
        """Texts of the records, of one layer or of all; those that count are left out."""
        texts = [(record.get("status") or record.get("stream"), record) for record in self.records]
        counting = ("Downloading", "Extracting", "Loading layer", "Pushing", "Importing")
        return [
            str(text).strip()
            for text, record in texts
            if text and not str(text).startswith(counting) and (id_ is None or record.get("id") == id_)
        ]

    async def load(self, data: bytes, platform: Platform | None = None, *, piece: int = 50_000) -> list[Image]:
        """Load an archive that comes in pieces."""
        return await load(self.images, reader(data, piece), [platform] if platform else [], self.send, quiet=False)

    async def pull(self, name: str, platform: Platform | None = None, credentials: Credentials | None = None) -> Image:
        """Pull an image."""
        ref = reference.parse(name)
        return await pull.pull(self.images, ref, platform, credentials or Credentials(), self.send)

    async def left(self) -> list[str]:
        """Blobs, ingests, layers and their work on disk, after removals have ended."""
        await self.close()
        found = [str(path.relative_to(self.root)) for path in self.root.glob("content/**/*") if path.is_file()]
        for part in ("layers", "unpacking", "trash"):
            found += [f"{part}/{path.name}" for path in (self.root / "overlay" / part).iterdir()]
        await self.open()
        return sorted(name for name in found if name != "layers/empty")

    def happened(self) -> list[tuple[str, str]]:
        """Events so far: action and name."""
        return [
            (event["Action"], event["Actor"]["Attributes"].get("name", "")) for event in self.events.between(0, None)
        ]


def reader(data: bytes, piece: int = 50_000) -> Any:
    """What reads bytes in pieces, as a request's body does."""
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])

    async def read() -> bytes:
        return next(pieces, b"")

    return read


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """An empty image store."""
    made = Shop(tmp_path / "data")
    made.root.mkdir()
    await made.open()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image as an archive."""
    path = tmp_path_factory.mktemp("base") / "busybox.tar"
    subprocess.run([sys.executable, "-m", "pydock_daemon.images.base", str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty registry for the session; tests use names of their own in it."""
    with serving(tmp_path_factory.mktemp("registry")) as made:
        yield made
