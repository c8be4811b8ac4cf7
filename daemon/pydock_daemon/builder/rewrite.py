"""Layers written anew: the new ones of a build as one (`squash`), or with times that are not after SOURCE_DATE_EPOCH.

Used by `solve`. What comes of the same files is the same to the byte: members are sorted, owners have no names, and the
first name of a file with several has its contents. Layers of the base image stay as they are.
"""

import asyncio
import copy
import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isal import isal_zlib

from pydock_daemon.images import manifest
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.service import Adding, Images

from . import tree
from .state import State

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
LEVEL, GZIP = 2, 31
PIECE = 1 << 20
KEPT = "SCHILY.xattr."


@dataclass
class Merged:
    """Layers put upon each other: members by name, and what is hidden of the layers below all of them."""

    members: dict[str, tuple[tarfile.TarFile, tarfile.TarInfo]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)

    def add(self, archive: tarfile.TarFile) -> None:
        """Put a layer on top."""
        members = [(posixpath.normpath(f"/{member.name}").lstrip("/") or ".", member) for member in archive]
        for name, _ in members:
            folder, base = posixpath.split(name)
            if base == OPAQUE:
                self._remove(folder, inside=True)
                self.opaque.add(folder)
            elif base.startswith(WHITEOUT):
                gone = posixpath.join(folder, base.removeprefix(WHITEOUT))
                self._remove(gone)
                self.hidden.add(gone)
        for name, member in members:
            if posixpath.basename(name).startswith(WHITEOUT):
                continue
            if not member.isdir():
                self._remove(name)
            elif name in self.hidden:
                self.opaque.add(name)
            self.hidden.discard(name)
            self.members[name] = archive, member

    def _remove(self, name: str, *, inside: bool = False) -> None:
        below = f"{name}/"
        for known in (self.members, self.hidden, self.opaque):
            for other in [other for other in known if other.startswith(below) or (other == name and not inside)]:
                known.pop(other) if isinstance(known, dict) else known.discard(other)

    def sorted(self) -> Iterator[tuple[str, tuple[tarfile.TarFile, tarfile.TarInfo] | None]]:
        """Yield the members of the layer that all of them are, folders before what is in them; None hides a name."""
        found: dict[str, tuple[tarfile.TarFile, tarfile.TarInfo] | None] = dict(self.members)
        found |= {posixpath.join(posixpath.dirname(name), WHITEOUT + posixpath.basename(name)): None
                  for name in self.hidden}  # fmt: skip
        found |= {posixpath.join(name, OPAQUE): None for name in self.opaque}
        yield from sorted(found.items(), key=lambda item: item[0].split("/"))


class Sink(io.RawIOBase):
    """A file that hashes, compresses and stores what is written to it."""

    def __init__(self, ingest: Any) -> None:
        self._ingest, self.hashed = ingest, hashlib.sha256()
        self._compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)

    def writable(self) -> bool:
        """Say that this can be written."""
        return True

    def write(self, data: Any) -> int:
        """Take in bytes."""
        self.hashed.update(data)
        if packed := self._compressor.compress(data):
            self._ingest.write(packed)
        return len(data)

    def end(self) -> None:
        """Write what is left."""
        self._ingest.write(self._compressor.flush())


def write(merged: Merged, sink: Sink, epoch: int | None) -> None:
    """Write a layer; no time of it is after `epoch`."""
    first: dict[tuple[int, str], str] = {}
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as made:
        for name, found in merged.sorted():
            if found is None:
                mark = tarfile.TarInfo(name)
                mark.mtime = epoch or 0
                made.addfile(mark)
                continue
            archive, member = found
            info = copy.copy(member)
            info.name, info.uname, info.gname = name, "", ""
            info.mtime = member.mtime if epoch is None else min(int(member.mtime), epoch)
            info.pax_headers = {key: text for key, text in member.pax_headers.items() if key.startswith(KEPT)}
            group = id(archive), posixpath.normpath(f"/{member.linkname if member.islnk() else member.name}")
            original = first.setdefault(group, name) if member.isreg() or member.islnk() else name
            if original != name:
                info.type, info.size, info.linkname = tarfile.LNKTYPE, 0, original
                made.addfile(info)
            elif member.islnk():
                source = archive.getmember(member.linkname)
                info.type, info.size, info.linkname = tarfile.REGTYPE, source.size, ""
                made.addfile(info, archive.extractfile(source))
            else:
                made.addfile(info, archive.extractfile(member) if member.isreg() else None)


async def layers(
    images: Images, adding: Adding, folder: Path, at: State, *, below: int, epoch: int | None, squash: bool
) -> State:
    """Return a state whose layers from number `below` on are written anew; `folder` is for files under way."""
    made = at.copy()
    made.layers, made.diff_ids = at.layers[:below], at.diff_ids[:below]
    groups = [at.layers[below:]] if squash else [[layer] for layer in at.layers[below:]]
    for group in groups:
        if group:
            await _layer(images, adding, folder, made, group, epoch)
    return made


async def _layer(
    images: Images, adding: Adding, folder: Path, made: State, group: list[Descriptor], epoch: int | None
) -> None:
    ingest = images.content.ingest()
    try:
        diff_id = await asyncio.to_thread(_written, images, folder, group, ingest, epoch)
        await asyncio.to_thread(ingest.finish)
        adding.hold(ingest.digest)
        digest, size = images.content.commit(ingest), ingest.size
    finally:
        ingest.close()
    top = made.chain[-1] if made.diff_ids else None
    layer = await images.snapshots.unpack(images.content.path(digest), top, diff_id)
    adding.hold_layers([layer.chain])
    made.add_layer(Descriptor(digest, size, manifest.LAYER_KINDS["gzip"]), diff_id)


def _written(images: Images, folder: Path, group: list[Descriptor], ingest: Any, epoch: int | None) -> str:
    merged, sink = Merged(), Sink(ingest)
    with ExitStack() as stack:
        for number, layer in enumerate(group):
            plain = folder / f"layer-{number}"
            stack.callback(plain.unlink, missing_ok=True)
            tree.spool(_pieces(images.content.path(layer.digest)), plain)
            merged.add(stack.enter_context(tarfile.open(plain, "r:")))
        write(merged, sink, epoch)
    sink.end()
    return f"sha256:{sink.hashed.hexdigest()}"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
