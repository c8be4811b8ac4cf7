"""The layer of a COPY written without a container: what is copied is new, so nothing need be asked of what is below.

Used by `steps`, which takes the way through a container wherever a link, a file in the way or a name of a user makes a
difference. One pass over the files: the archive is hashed, compressed and stored, and unpacked by the child at the
same time.
"""

import asyncio
import itertools
import os
import secrets
import stat
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Literal

import msgpack

from pydock_daemon.images import manifest
from pydock_daemon.images.content import Ingest
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.service import Adding, Images
from pydock_daemon.snapshots.base import above as chain_of
from pydock_daemon.snapshots.overlay import Over, Snapshots
from pydock_runtime import abi, linux

from . import copying, likeness
from .blobs import Blob
from .contexts import Contexts
from .copying import Item
from .likeness import Difference, File, Known, Row
from .tree import Tree

KIND = "layers"
MOST_HELD = 50_000
"""Members that are held in memory, for three passes over them."""
DEEPEST = 60
"""Layers below which one has two folders: with as many as all may have, their names would not fit into a mount."""

RESOLVE = abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_SYMLINKS


@asynccontextmanager
async def shown(snapshots: Snapshots, chain: list[str]) -> AsyncIterator[Path]:
    """Mount the files of layers for the block; what is written there is lost."""
    async with prepared(snapshots, chain) as key:
        with snapshots.mounted(key) as root:
            yield root


@asynccontextmanager
async def prepared(snapshots: Snapshots, chain: list[str]) -> AsyncIterator[str]:
    """Have a snapshot of layers for the block; give its key."""
    key = f"build-{secrets.token_hex(16)}"
    snapshots.prepare(key, chain)
    try:
        await snapshots.made(key)
        yield key
    finally:
        snapshots.remove(key)


class Below:
    """What layers have already, asked by paths that lead through no link."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the root."""
        os.close(self._root)

    def is_folder(self, path: str) -> bool | None:
        """Say whether a path is a folder; None when it, or what is above it, is a link or no folder."""
        info = self._stat(path)
        if not info:
            return None if info is None else False
        return True if stat.S_ISDIR(info.st_mode) else None

    def _stat(self, path: str) -> os.stat_result | Literal[False] | None:
        """Return what a path is, False when there is nothing, None when it leads through a link or a file."""
        try:
            found = linux.openat2(self._root, path or ".", os.O_PATH, resolve=RESOLVE)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        try:
            return os.fstat(found)
        finally:
            os.close(found)

    def parents(self, folder: str, items: list[Item], owner: tuple[int, int]) -> list[tarfile.TarInfo] | None:
        """Return the folders above what is copied, as members of the layer; None when something is in its way.

        `folder` is the one that all items go into. One that is there keeps its owner and mode, and its time as well
        unless something is made in it.
        """
        tops = {item.target[len(folder) :].lstrip("/").partition("/")[0] for item in items} - {""}
        if any(self._stat(f"{folder}/{top}".lstrip("/")) is not False for top in tops):
            return None
        made, kept, parts = [], list[float](), [part for part in folder.split("/") if part]
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            found = self._stat(path)
            if found is None or (found and not stat.S_ISDIR(found.st_mode)):
                return None
            info = tarfile.TarInfo(path)
            info.type, info.mode, (info.uid, info.gid) = tarfile.DIRTYPE, 0o755, owner
            if found:
                info.mode, info.uid, info.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
                kept.append(found.st_mtime)
            info.mtime = time.time()
            made.append(info)
        # All but the one in which something is made keep their time.
        for info, mtime in zip(made, kept if len(kept) == len(parts) and not tops else kept[:-1], strict=False):
            info.mtime = mtime
        return made


class Making:
    """The making of one layer; what is remembered of the last one is used, and of this one kept."""

    def __init__(
        self,
        images: Images,
        adding: Adding,
        contexts: Contexts,
        folder: Path,
        chain: list[str],
        tree: Tree,
        rows: Callable[[], Iterator[Row]],
        slot: str,
    ) -> None:
        """`rows` are the members, as often as they are asked for; `slot` names the instruction on this chain."""
        self._images, self._adding, self._contexts, self._folder = images, adding, contexts, folder
        self._top, self._depth = chain[-1] if chain else None, len(chain)
        self._tree, self._rows, self._slot = tree, rows, slot
        self._files: list[File] | None = None
        self._ended = False

    async def layer(self, *, fresh: bool) -> tuple[Descriptor, str]:
        """Return the layer; one that is `fresh` takes nothing over from the last."""
        self._files = await asyncio.to_thread(self._told)
        known = None if fresh or self._files is None else await asyncio.to_thread(self._remembered)
        with ExitStack() as stack:
            old = None
            if known and known.blob in self._images.content:
                old = os.open(self._images.content.path(known.blob), os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, old)
            ingest = stack.enter_context(closing(self._images.content.ingest()))
            blob = stack.enter_context(closing(Blob(ingest, old, known.pieces if known else {})))
            different = await self._different(known)
            if known and different:
                base, keys = known.base, known.keys
                await self._over(blob, ingest, base, different)
            else:
                await self._whole(blob)
                base, keys = chain_of(self._top, blob.diff_id), {file.name: file.key for file in self._files or ()}
                await asyncio.to_thread(ingest.finish)
            self._adding.hold(ingest.digest)
            made = Descriptor(self._images.content.commit(ingest), ingest.size, manifest.LAYER_KINDS["gzip"])
            if self._files is not None:
                await asyncio.to_thread(self._remember, Known(base, keys, made.digest, blob.pieces))
            return made, blob.diff_id

    def _told(self) -> list[File] | None:
        """Return what is told of the members, which are gathered unless there are too many."""
        rows = list(itertools.islice(self._rows(), MOST_HELD))
        if len(rows) < MOST_HELD:
            self._rows = lambda: iter(rows)
        return likeness.files(self._rows())

    def _remembered(self) -> Known | None:
        try:
            return Known(*self._contexts.read(KIND, self._slot) or ())
        except TypeError:
            return None

    def _remember(self, made: Known) -> None:
        self._contexts.write(KIND, self._slot, msgpack.packb(made, unicode_errors="surrogateescape"))

    async def _different(self, known: Known | None) -> Difference | None:
        """Return what is different in a layer that can be the base of this one; None when there is none."""
        snapshots = self._images.snapshots
        found = snapshots.layer(known.base) if known else None
        if not known or not found or found.parent != self._top or found.base or not snapshots.stacks:
            return None
        self._adding.hold_layers([found.chain])
        if self._depth >= DEEPEST:
            return None
        return await asyncio.to_thread(likeness.difference, self._files or [], known.keys)

    async def _over(self, blob: Blob, ingest: Ingest, base: str, different: Difference) -> None:
        """Make the layer of what is different, over the folder of its base."""
        changes = self._folder / f"{secrets.token_hex(8)}.changes"
        rows = itertools.chain(
            (row for row in self._rows() if row[0].name in different.names),
            ((likeness.whiteout(path), None) for path in different.gone),
        )
        await asyncio.to_thread(copying.write, self._tree, rows, changes)
        await self._written(blob, None)
        over = Over(base, sum(file.size for file in self._files or ()))
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(ingest.finish))
            group.create_task(self._unpacked(changes, blob, over))
        changes.unlink()

    async def _unpacked(self, changes: Path, blob: Blob, over: Over) -> None:
        async def ready() -> None:
            self._adding.hold_layers([chain_of(self._top, blob.diff_id)])

        await self._images.snapshots.unpack(changes, self._top, blob.diff_id, ready=ready, over=over)

    async def _whole(self, blob: Blob) -> None:
        """Make the layer of all files: the archive is unpacked by the child while it is written."""
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb", 0) as reading:
            writing = asyncio.create_task(self._written(blob, theirs))

            async def ready() -> None:
                """Hold the layer before it can be seen: whatever is seen and not held is swept."""
                await asyncio.shield(writing)
                self._adding.hold_layers([chain_of(self._top, blob.diff_id)])

            try:
                await self._images.snapshots.unpack(Path(f"/proc/self/fd/{ours}"), self._top, None, ready=ready)
            finally:
                reading.close()  # a writer whose reader has gone ends
                failure = (await asyncio.shield(asyncio.gather(writing, return_exceptions=True)))[0]
                if isinstance(failure, BaseException) and not isinstance(failure, BrokenPipeError):
                    raise failure

    async def _written(self, blob: Blob, pipe: int | None) -> None:
        """Write the archive to the blob, and to a pipe, which belongs to this."""
        # A thread of its own: it waits for the child, whose start needs one of those that all share.
        with ThreadPoolExecutor(1, "layer") as pool:
            writing = asyncio.get_running_loop().run_in_executor(pool, self._write, blob, pipe)
            try:
                await asyncio.shield(writing)
            finally:
                self._ended = True  # whoever was cancelled waits until the thread has seen it
                await asyncio.wait([writing])

    def _write(self, blob: Blob, pipe: int | None) -> None:
        try:
            rows = self._rows()
            for piece in likeness.pieces(self._files) if self._files is not None else ():
                self._some(blob, pipe, itertools.islice(rows, piece.members), known=blob.has(piece.key))
                blob.end_piece(piece.key)
            self._some(blob, pipe, rows, known=False)
            self._put(blob, pipe, copying.END, known=False)
            blob.finish()
        finally:
            if pipe is not None:
                os.close(pipe)

    def _some(self, blob: Blob, pipe: int | None, rows: Iterable[Row], *, known: bool) -> None:
        for data in copying.batches(piece for row in rows for piece in copying.member(self._tree, *row)):
            self._put(blob, pipe, data, known=known)

    def _put(self, blob: Blob, pipe: int | None, data: bytes, *, known: bool) -> None:
        if self._ended:
            raise BrokenPipeError
        view = memoryview(data)
        while view and pipe is not None:
            view = view[os.write(pipe, view) :]
        if data:
            blob.write(data, known=known)
