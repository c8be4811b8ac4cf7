"""The layer of a COPY written without a container: what is copied is new, so nothing need be asked of what is below.

Used by `steps`, which takes the way through a container wherever a link, a file in the way or a name of a user makes a
difference. One pass over the files: the archive is hashed, compressed and stored, and unpacked by the child at the
same time.
"""

import asyncio
import hashlib
import os
import secrets
import stat
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from isal import isal_zlib

from pydock_daemon.containers.commit import GZIP, LEVEL
from pydock_daemon.images import manifest
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.service import Adding, Images
from pydock_daemon.snapshots import base
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_runtime import abi, linux

from .copying import Item

RESOLVE = abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_SYMLINKS


@asynccontextmanager
async def shown(snapshots: Snapshots, chain: list[str]) -> AsyncIterator[Path]:
    """Mount the files of layers for the block; what is written there is lost."""
    key = f"build-{secrets.token_hex(16)}"
    snapshots.prepare(key, chain)
    try:
        await snapshots.made(key)
        with snapshots.mounted(key) as root:
            yield root
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


class _Sink:
    """Hashes, compresses and stores an archive, and hands it to the child that unpacks it."""

    def __init__(self, ingest: Any, pipe: int) -> None:
        self._ingest, self._pipe, self.hashed = ingest, pipe, hashlib.sha256()
        self._compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)

    def write(self, data: bytes) -> int:
        """Take in bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._pipe, view) :]
        self.hashed.update(data)
        if packed := self._compressor.compress(data):
            self._ingest.write(packed)
        return len(data)

    @property
    def diff_id(self) -> str:
        """Return the digest of what was written."""
        return f"sha256:{self.hashed.hexdigest()}"

    def end(self) -> None:
        """Write what is left."""
        self._ingest.write(self._compressor.flush())


async def layer(
    images: Images, adding: Adding, top: str | None, write: Callable[[Any], None]
) -> tuple[Descriptor, str]:
    """Return the layer of the archive that `write` writes to a file; it is on top of the chain `top`."""
    ingest = images.content.ingest()
    try:
        ours, theirs = os.pipe()
        sink = _Sink(ingest, theirs)
        # A thread of its own: it waits for the child, whose start needs one of those that all share.
        with os.fdopen(ours, "rb", 0) as reading, ThreadPoolExecutor(1, "layer") as pool:
            writing = asyncio.get_running_loop().run_in_executor(pool, _written, sink, theirs, write)

            async def ready() -> None:
                """Hold the layer before it can be seen: whatever is seen and not held is swept."""
                await writing
                adding.hold_layers([base.above(top, sink.diff_id)])

            try:
                await images.snapshots.unpack(Path(f"/proc/self/fd/{ours}"), top, None, ready=ready)
            finally:
                reading.close()  # a writer whose reader has gone ends
                failure = (await asyncio.shield(asyncio.gather(writing, return_exceptions=True)))[0]
                if isinstance(failure, BaseException) and not isinstance(failure, BrokenPipeError):
                    raise failure
        await asyncio.to_thread(ingest.finish)
        adding.hold(ingest.digest)
        return Descriptor(images.content.commit(ingest), ingest.size, manifest.LAYER_KINDS["gzip"]), sink.diff_id
    finally:
        ingest.close()


def _written(sink: _Sink, pipe: int, write: Callable[[Any], None]) -> None:
    try:
        write(sink)
        sink.end()
    finally:
        os.close(pipe)
