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

from pydock_shared.errors import NotFound, PydockError

from . import layer, unpacking
from .overlay import EMPTY, Snapshots

COPY = ("cp", "--archive", "--no-target-directory", "--reflink=auto", "--sparse=auto")


class PlainSnapshots(Snapshots):
    """The layers and snapshots of one data root."""

    driver = "vfs"

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
        await _copy(self._below(key), self.upper(key))

    def _below(self, key: str) -> Path:
        top = self._tops[key]
        return self.diff(top) if top else self._layers_at / EMPTY / "diff"

    def overlay(self, key: str) -> dict[str, Any]:
        """Return the tree of a snapshot as `plain`, and as `below` that of its image; NotFound when there is none."""
        if key not in self._tops:
            raise NotFound(f"snapshot does not exist: {key}")
        return {"plain": str(self.upper(key)), "below": str(self._below(key))}

    def usage(self, key: str) -> int:
        """Return the bytes by which a snapshot is larger than its image; walks the disk."""
        return max(0, layer.size(self.upper(key)) - layer.size(self._below(key)))

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
