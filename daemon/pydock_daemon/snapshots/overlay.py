"""Snapshots on overlayfs: layers and writable folders below DATA_ROOT/overlay. Used by images, containers and `api`.

    layers/<short>/diff       a layer, unpacked once for its chain id; `short` keeps the mount options of a deep image
                              within the page that mount(2) takes
    containers/<key>/diff     what a container wrote, with the `work` folder that overlayfs needs beside it
    unpacking/                layers that are not whole yet; emptied at start
    trash/                    what was removed from view and waits for its bytes to go; emptied at start
    mounts/                   mount points of `mounted`

A layer is visible when its row is: unpack to a temporary name, rename, then commit. The store is used on the event
loop only; what takes long runs in a thread.
"""

import asyncio
import logging
import os
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pydock_daemon.forkserver.client import ForkServer
from pydock_daemon.store import Store
from pydock_runtime import abi, linux
from pydock_shared.errors import InvalidArgument, NotFound

from . import base, layer, mounting, placing, records, unpacking
from .records import Layer

SCHEMA = f"""
{records.SCHEMA}
create table if not exists snapshots (
    key text primary key,
    top text not null
);
"""
log = logging.getLogger("pydockd.snapshots")
SHORT, EMPTY = 10, "empty"
CHILDREN, STAGED = 2, "root"
"""Children at a time, and the folder that `files.view` leaves in the stage, for its mounts."""


class Over(NamedTuple):
    """What a layer is whose archive has only what is different in the files of another, whose chain id is `base`."""

    base: str
    size: int


class Snapshots:
    """The layers and snapshots of one data root."""

    driver = "overlay2"
    stacks = True
    """Whether a layer may have another one as its base."""

    def __init__(self, root: Path, store: Store) -> None:
        """Open what is below `root` and clear away what an interrupted run left there."""
        self.root = root
        self._store = store
        self._layers_at, self._containers_at = self.root / "layers", self.root / "containers"
        for folder in (self._layers_at / EMPTY / "diff", self._containers_at):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.root.chmod(0o710)
        self._layers = records.read(store)
        self._tops: dict[str, str] = {row["key"]: row["top"] for row in store.all("select * from snapshots")}
        self._pins: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}
        self._children = asyncio.Semaphore(CHILDREN)
        self._sweeper = ThreadPoolExecutor(1, "snapshots")
        self.forks = ForkServer()
        self._begun: set[str] = set()
        self._busy: set[Path] = set()
        """Folders of what is under way: unpacking, mounts, removals."""
        self._recover()

    @property
    def stage(self) -> Path:
        """Return a folder on which a process with mounts of its own may mount, unseen by others."""
        return self.root / "mounts"

    async def settled(self) -> None:
        """Wait until the removals that were asked for are done."""
        await asyncio.wrap_future(self._sweeper.submit(lambda: None))

    def close(self) -> None:
        """Wait for the removals under way; children end."""
        self.forks.close()
        self._sweeper.shutdown()

    def _recover(self) -> None:
        for name in ("unpacking", "trash", "mounts"):
            (self.root / name).mkdir(exist_ok=True, mode=0o700)
        placing.spread(self.root / "unpacking")
        for left in self.strays():
            self.discard(left)
        for lost in self.lost():
            log.warning("layer %s is lost: its folder is gone", lost.chain)
            self.forget(lost)

    def discard(self, folder: Path) -> None:
        """Take a folder out of sight at once and remove its files in the background."""
        trash = self.root / "trash" / f"{folder.name}.{os.urandom(4).hex()}"
        if folder.parent != trash.parent:
            with suppress(FileNotFoundError):
                folder.rename(trash)
        else:
            trash = folder
        self._busy.add(trash)
        self._sweeper.submit(self._remove, trash)

    def _remove(self, folder: Path) -> None:
        """Remove a tree; what resists is tried again at the next start."""
        shutil.rmtree(folder, ignore_errors=True)
        self._busy.discard(folder)

    # What `upkeep` looks at

    def strays(self) -> list[Path]:
        """Return the folders that no layer, no snapshot and nothing under way owns."""
        shorts = {layer.short for layer in self._layers.values()} | {EMPTY}
        found = [folder for folder in self._layers_at.iterdir() if folder.name not in shorts]
        found += [folder for folder in self._containers_at.iterdir() if folder.name not in self._tops]
        for name in ("unpacking", "trash", "mounts"):
            found += [folder for folder in (self.root / name).iterdir() if folder not in self._busy]
        return [folder for folder in found if folder != self.stage / STAGED]

    def mounts(self) -> set[Path]:
        """Return the mount points in use."""
        return {folder for folder in tuple(self._busy) if folder.parent == self.stage}  # threads take some out

    def total(self) -> int:
        """Return the bytes of all layers."""
        return sum(found.used for found in self._layers.values())

    def count(self) -> int:
        """Return how many layers there are."""
        return len(self._layers)

    def lost(self) -> list[Layer]:
        """Return the layers whose folder is gone."""
        folders = {folder.name for folder in self._layers_at.iterdir()}
        return [found for found in self._layers.values() if found.short not in folders]

    def forget(self, lost: Layer) -> None:
        """Remove the record of a layer; those whose base it was go with it."""
        gone = [lost, *(found for found in self._layers.values() if found.base == lost.chain)]
        records.remove(self._store, gone)
        for found in gone:
            del self._layers[found.chain]
            self.discard(self._layers_at / found.short)

    def abandoned(self, owners: Container[str]) -> list[str]:
        """Return the keys that none of the owners has; of this process's own, one may be about to be had."""
        return [key for key in self._tops if key not in owners and key not in self._begun]

    def is_whole(self, key: str) -> bool:
        """Say whether a snapshot is here with its folder and all of its layers."""
        top = self._tops.get(key)
        if top is None or not self.upper(key).is_dir():
            return False
        below = list(self._down(top))
        return not top or bool(below and below[-1].parent is None)

    # Layers

    def layer(self, chain: str) -> Layer | None:
        """Return the layer of a chain id if it is unpacked."""
        return self._layers.get(chain)

    def diff(self, chain: str) -> Path:
        """Return the folder of a layer."""
        return self._layers_at / self._layers[chain].short / "diff"

    def folders(self, chain: str) -> list[Path]:
        """Return the folders that together are a layer, the upper one first."""
        return [self._layers_at / short / "diff" for short in self._shorts(self._layers[chain])]

    def _shorts(self, found: Layer) -> list[str]:
        return [found.short, self._layers[found.base].short] if found.base else [found.short]

    @contextmanager
    def pinned(self, chain: Iterable[str]) -> Iterator[None]:
        """Keep layers from being swept during the block, also those that are still to be made."""
        names = list(chain)
        self._pins.update(names)
        try:
            yield
        finally:
            self._pins.subtract(names)
            self._pins += Counter()

    async def unpack(
        self,
        blob: Path,
        parent: str | None,
        diff_id: str | None,
        report: Callable[[int], None] | None = None,
        ready: Callable[[], Awaitable[object]] | None = None,
        over: Over | None = None,
    ) -> Layer:
        """Make the layer of a blob on top of a chain; one that exists is returned as it is.

        `diff_id` None takes the archive as it comes. `ready` is awaited before the commit: layers of an image are
        unpacked side by side and committed bottom first. InvalidArgument when the archive is corrupt or not the one
        that `diff_id` names; nothing is left then. With `over`, whose base the caller
        holds, the blob has what is different there.
        """
        key = base.above(parent, diff_id) if diff_id else None
        async with self._locks.setdefault(key, asyncio.Lock()) if key else asyncio.Lock():
            if key and (found := self._layers.get(key)):
                return found
            folder = self.root / "unpacking" / os.urandom(8).hex()
            self._busy.add(folder)
            try:
                await asyncio.to_thread(folder.mkdir, 0o700)
                folder.chmod(0o755)
                result = await self._fill(blob, folder, parent, report, ready)
                if diff_id and result.diff_id != diff_id and not over:
                    raise InvalidArgument(f"layer verification failed: the layer is {result.diff_id}, not {diff_id}")
                if ready:
                    await ready()
                return self._commit(folder, parent, result, diff_id or result.diff_id, over)
            finally:
                if folder.exists():
                    self.discard(folder)
                self._busy.discard(folder)
                if key:
                    self._locks.pop(key, None)

    async def _fill(
        self,
        blob: Path,
        folder: Path,
        parent: str | None,
        report: Callable[[int], None] | None,
        ready: Callable[[], Awaitable[object]] | None,
    ) -> unpacking.Unpacked:
        """Make `diff` in a folder. `ready` is for those who need the layer below it first."""
        target = folder / "diff"
        target.mkdir()
        target.chmod(0o755)
        async with self._children:
            return await unpacking.unpack(self.forks, blob, target, report or (lambda _: None))

    def _commit(
        self, folder: Path, parent: str | None, result: unpacking.Unpacked, diff_id: str, over: Over | None
    ) -> Layer:
        chain = base.above(parent, diff_id)
        if found := self._layers.get(chain):
            return found
        if parent and not result.has_root:
            # The merged root looks as the topmost folder does, so a layer that does not say keeps what is below.
            layer.copy_root(self.diff(parent), folder / "diff")
        made = Layer(chain, parent, diff_id, self._short(chain), result.size)
        if over:
            made = replace(made, size=over.size, base=over.base, own=result.size)
        folder.rename(self._layers_at / made.short)
        try:
            records.add(self._store, made)
        except BaseException:
            self.discard(self._layers_at / made.short)
            raise
        self._layers[chain] = made
        return made

    def _short(self, chain: str) -> str:
        digits, taken = chain.removeprefix("sha256:"), {layer.short for layer in self._layers.values()}
        return next(digits[:length] for length in range(SHORT, 65) if digits[:length] not in taken)

    def sweep(self, keep: Iterable[str]) -> int:
        """Remove the layers that no chain in `keep`, no snapshot and no pin needs; return the bytes of their files."""
        alive: set[str] = set()
        for top in [*keep, *self._tops.values(), *self._pins]:
            for found in self._down(top):
                if found.chain in alive:
                    break
                alive |= {found.chain, found.base or found.chain}
        dead = [found for chain, found in self._layers.items() if chain not in alive]
        records.remove(self._store, dead)
        for found in dead:
            del self._layers[found.chain]
            self.discard(self._layers_at / found.short)
        return sum(found.used for found in dead)

    def held(self) -> set[str]:
        """Return the chain ids of the layers that snapshots stand on."""
        found = {found for top in self._tops.values() for found in self._down(top)}
        return {one.chain for one in found} | {one.base for one in found if one.base}

    def _down(self, top: str) -> Iterator[Layer]:
        """Yield the layers of a chain from its top downwards."""
        found = self._layers.get(top)
        while found:
            yield found
            found = self._layers.get(found.parent) if found.parent else None

    # Snapshots

    def prepare(self, key: str, chain: list[str]) -> None:
        """Make a writable snapshot on top of a chain (bottom first); NotFound when a layer of it is gone."""
        top = chain[-1] if chain else ""
        if top and top not in self._layers:
            raise NotFound(f"layer does not exist: {top}")
        folder = self._containers_at / key
        folder.mkdir(mode=0o710)
        upper = folder / "diff"
        try:
            upper.mkdir()
            (folder / "work").mkdir(mode=0o700)
            layer.copy_root(self.diff(top) if top else self._layers_at / EMPTY / "diff", upper)
            with self._store.transaction() as db:
                db.execute("insert into snapshots (key, top) values (?, ?)", (key, top))
        except BaseException:
            self.discard(folder)
            raise
        self._tops[key] = top
        self._begun.add(key)

    async def made(self, key: str) -> None:
        """Wait until a new snapshot can be used; here that is at once."""

    def overlay(self, key: str) -> dict[str, Any]:
        """Return the mount of a snapshot as the supervisor takes it; NotFound when there is none."""
        if key not in self._tops:
            raise NotFound(f"snapshot does not exist: {key}")
        lower = [f"{short}/diff" for found in self._down(self._tops[key]) for short in self._shorts(found)]
        folder = self._containers_at / key
        return {
            "base": str(self._layers_at),
            "lower": lower or [f"{EMPTY}/diff"],
            "upper": str(folder / "diff"),
            "work": str(folder / "work"),
        }

    def chain(self, key: str) -> list[str]:
        """Return the chain that a snapshot stands on, bottom first."""
        return [found.chain for found in self._down(self._tops[key])][::-1]

    def stands_on(self, key: str, chain: str) -> bool:
        """Say whether a snapshot needs the folder of a layer."""
        return any(chain in (found.chain, found.base) for found in self._down(self._tops[key]))

    def upper(self, key: str) -> Path:
        """Return the folder of what was written in a snapshot."""
        return self._containers_at / key / "diff"

    def names(self) -> list[str]:
        """Return the keys of all snapshots."""
        return list(self._tops)

    def remove(self, key: str) -> None:
        """Forget a snapshot; its files go in the background. Layers stay until the next sweep."""
        self._begun.discard(key)
        if self._tops.pop(key, None) is None:
            return
        with self._store.transaction() as db:
            db.execute("delete from snapshots where key = ?", (key,))
        self.discard(self._containers_at / key)

    def usage(self, key: str) -> int:
        """Return the bytes of the files written in a snapshot, each once however many names it has; walks the disk."""
        return layer.size(self.upper(key))

    def graph_driver(self, key: str) -> dict[str, Any]:
        """Return the `GraphDriver` of a container's inspect."""
        mount = self.overlay(key)
        folder = self._containers_at / key
        return mounting.driver_data(
            [str(self._layers_at / name) for name in mount["lower"]],
            {"MergedDir": str(folder / "merged"), "UpperDir": mount["upper"], "WorkDir": mount["work"]},
        )

    def image_driver(self, chain: list[str]) -> dict[str, Any]:
        """Return the `GraphDriver` of an image's inspect."""
        below = [str(folder) for name in reversed(chain) if name in self._layers for folder in self.folders(name)]
        top = Path(below[0]).parent if below else self._layers_at / EMPTY
        upper = {"MergedDir": str(top / "merged"), "UpperDir": str(top / "diff"), "WorkDir": str(top / "work")}
        return mounting.driver_data(below[1:], upper)

    @contextmanager
    def mounted(self, key: str) -> Iterator[Path]:
        """Mount a snapshot that no container uses now, read-write, for the block."""
        mount = self.overlay(key)
        target = self.stage / os.urandom(8).hex()
        self._busy.add(target)
        target.mkdir(0o700)
        try:
            mounting.in_own_folder(mount["base"], lambda: mounting.mount(mount, str(target)))
            try:
                yield target
            finally:
                linux.umount2(str(target), abi.MNT_DETACH)
        finally:
            target.rmdir()
            self._busy.discard(target)
