"""Snapshots without overlayfs, Docker's `vfs`: every layer and every container a whole tree, copied from the one below.

For file systems and kernels on which overlayfs is not to be had: slow and large, but asking for nothing special. Below
DATA_ROOT/vfs, laid out as `overlay` does it. A layer is unpacked onto a copy of its parent, so those of an image
come one after another; what a container has changed is told by comparing its tree with its image's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydock_daemon.store import Store
from pydock_shared.errors import NotFound, PydockError

from . import layer, unpacking
from .overlay import EMPTY, Snapshots

COPIED = "copied"
"""A file beside the tree of a container, made when that was copied."""
COPY = ("cp", "--archive", "--no-target-directory", "--reflink=auto", "--sparse=auto")


class PlainSnapshots(Snapshots):
    """The layers and snapshots of one data root."""

    driver = "vfs"
    stacks = False

    def __init__(self, root: Path, store: Store) -> None:
        super().__init__(root, store)
        self._sizes: dict[str, int] = {}
        """Of whole trees of layers, which stay as they are."""

    async def _fill(
        self,
        blob: Path,
        folder: Path,
        parent: str | None,
        report: Callable[[int], None] | None,
        ready: Callable[[], Awaitable[object]] | None,
    ) -> unpacking.Unpacked:
        if ready and parent and parent not in self._layers:
            await ready()  # until the layer below has been committed; who makes a layer as he goes has it
        target = folder / "diff"
        await _copy(self.diff(parent) if parent else self._layers_at / EMPTY / "diff", target)
        async with self._children:
            return await unpacking.unpack(self.forks, blob, target, report or (lambda _: None), program="apply")

    async def made(self, key: str) -> None:
        """Copy the tree that a snapshot begins with; PydockError when that fails."""
        self.upper(key).chmod(0o700)  # cp leaves folders the group's bit that they inherit
        await _copy(self._below(key), self.upper(key))
        (self._containers_at / key / COPIED).touch()

    def _below(self, key: str) -> Path:
        top = self._tops[key]
        return self.diff(top) if top else self._layers_at / EMPTY / "diff"

    def overlay(self, key: str) -> dict[str, Any]:
        """Return the tree of a snapshot as `plain`, and as `below` that of its image; NotFound when there is none.

        `copied` has the times between which the one was made from the other.
        """
        if key not in self._tops:
            raise NotFound(f"snapshot does not exist: {key}")
        return {"plain": str(self.upper(key)), "below": str(self._below(key)), "copied": self._copied(key)}

    def _copied(self, key: str) -> list[int]:
        """Return the times of change between which a tree was copied; none where that is not known.

        The folder for overlayfs is made before the copy and never used. A backup that is put back changes that time,
        and leaves the other.
        """
        folder = self._containers_at / key
        try:
            return [(folder / "work").stat().st_ctime_ns, (folder / COPIED).stat().st_mtime_ns]
        except FileNotFoundError:
            return [0, 0]

    def usage(self, key: str) -> int:
        """Return the bytes by which a snapshot is larger than its image; walks the disk."""
        top = self._tops.get(key)
        if top is None:
            return 0  # removed by now
        if top not in self._sizes:
            self._sizes[top] = layer.size(self._below(key))
        return max(0, layer.size(self.upper(key)) - self._sizes[top])

    def graph_driver(self, key: str) -> dict[str, Any]:
        """Return the `GraphDriver` of a container's inspect."""
        return {"Data": None, "Name": self.driver}

    def image_driver(self, chain: list[str]) -> dict[str, Any]:
        """Return the `GraphDriver` of an image's inspect."""
        return {"Data": None, "Name": self.driver}

    @contextmanager
    def mounted(self, key: str) -> Iterator[Path]:
        """Give the tree of a snapshot that no container uses now."""
        if key not in self._tops:
            raise NotFound(f"snapshot does not exist: {key}")
        yield self.upper(key)


async def _copy(source: Path, target: Path) -> None:
    """Copy a tree with everything that a file has: owners, times, links, attributes, devices, holes."""
    process = await asyncio.create_subprocess_exec(
        *COPY, str(source), str(target), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, errors = await process.communicate()
    except BaseException:
        process.kill()
        await asyncio.shield(process.wait())
        raise
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise PydockError(f"copying a tree failed: {lines[-1] if lines else f'code {process.returncode}'}")
