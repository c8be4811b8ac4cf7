"""A store of snapshots of its own for each test, and layers made to measure."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.forks import FORKS

from pydock_daemon.snapshots import overlay
from pydock_daemon.snapshots.overlay import Layer, Over, Snapshots
from pydock_daemon.store import Store


class Bench:
    """Snapshots below a folder that can be closed and opened again, as a restart of the daemon does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.open()

    def open(self) -> None:
        """Open, for the first time or again."""
        self.store = Store.open(self.root / "db", [overlay.SCHEMA])
        self.snapshots = Snapshots(self.root / "overlay", self.store)
        self.snapshots.forks = FORKS

    def close(self) -> None:
        """Close and wait for removals."""
        self.snapshots.close()
        self.store.close()

    async def unpack(self, data: bytes, parent: Layer | None = None, diff_id: str | None = None) -> Layer:
        """Unpack a layer from its bytes."""
        blob = self.root / "blob"
        await asyncio.to_thread(blob.write_bytes, data)
        return await self.snapshots.unpack(blob, parent.chain if parent else None, diff_id)

    async def over(self, base: Layer, changes: bytes, diff_id: str) -> Layer:
        """Make a layer of another one and of what is different in it."""
        blob = self.root / "blob"
        await asyncio.to_thread(blob.write_bytes, changes)
        return await self.snapshots.unpack(blob, base.parent, diff_id, over=Over(base.chain, 100))

    def left(self) -> list[str]:
        """Folders of layers and of what is on its way, apart from the empty layer; after removals have ended."""
        self.close()
        self.open()
        self.close()
        found = [path for part in ("layers", "unpacking", "trash") for path in (self.snapshots.root / part).iterdir()]
        self.open()
        return [path.name for path in found if path.name != "empty"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Snapshots below the test's folder."""
    made = Bench(tmp_path)
    yield made
    made.close()
