"""`POST /images/load`: images from an archive, docker-archive or OCI layout, compressed or not. Used by `api.images`.

The archive is read once, as it comes: every file in it becomes an ingest of the content store, hashed while written,
and what turns out to be of no use is dropped at the end. `manifest.json` names images as `docker save` does,
`index.json` as the OCI image layout does; an archive with both (ours, and Docker's since 25) is read as the first, with
the manifests of the second.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydock_daemon.snapshots import compression
from pydock_daemon.snapshots.compression import CompressionError
from pydock_daemon.snapshots.tarstream import FILE, HARD_LINK, SYMLINK, Archive, ArchiveError
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.reference import Reference

from . import chain, manifest
from .body import Body, Read
from .chain import Step, Words
from .content import LARGEST_DOCUMENT, Content, Ingest
from .manifest import Descriptor
from .model import Image, Platform, host_platform
from .progress import Reporter, Send
from .service import Adding, Images

WORDS = Words("", "Loading layer", "")
MOST_FILES = 100_000


class Found(NamedTuple):
    """An image of the archive: the manifest, written by us when the archive has none, and its names."""

    manifest: bytes
    media_type: str
    names: list[Reference]


async def load(images: Images, read: Read, platform: Platform | None, send: Send, *, quiet: bool) -> list[Image]:
    """Load every image of an archive, reporting as Docker does; InvalidArgument when it is none or is corrupt."""
    with images.adding() as adding:
        collected = Collected(images.content)
        try:
            try:
                await Body(read).run(collected.fill)
            except (ArchiveError, CompressionError) as error:
                raise InvalidArgument(f"invalid archive: {error}") from error
            found = collected.images(platform)
            async with Reporter(send, quiet=quiet) as report:
                loaded = [await _load_one(images, collected, one, adding, report, send) for one in found]
        finally:
            collected.close()
    for image in loaded:
        images.publish("load", image.id, image.id)
    return loaded


async def _load_one(
    images: Images, collected: "Collected", found: Found, adding: Adding, report: Reporter, send: Send
) -> Image:
    parsed = manifest.parse_manifest(found.manifest, found.media_type)
    adding.hold(manifest.digest_of(found.manifest), parsed.config.digest, *(layer.digest for layer in parsed.layers))
    config = manifest.parse_config(collected.document(parsed.config.digest), len(parsed.layers))
    steps = [
        Step(layer.digest, layer.size, diff_id) for layer, diff_id in zip(parsed.layers, config.diff_ids, strict=True)
    ]

    async def fetch(step: Step) -> None:
        await collected.commit(step.digest)

    await chain.make(images, adding, steps, fetch, report, WORDS)
    await collected.commit(parsed.config.digest)
    digest = images.content.add(found.manifest)
    for name in found.names:
        holder = images.names.holder(name)
        if holder and holder.id != parsed.config.digest:
            text = (
                f"The image {name.familiar()} already exists, renaming the old one with ID {holder.id} to empty string"
            )
            await send({"stream": f"{text}\n"})
    image = images.commit(digest, found.names)
    for name in found.names:
        await send({"stream": f"Loaded image: {name.familiar()}\n"})
    if not found.names:
        await send({"stream": f"Loaded image ID: {image.id}\n"})
    return image


class Collected:
    """The files of one archive, as ingests; `close` drops those that were not committed."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._files: dict[str, Ingest] = {}
        self._links: dict[str, str] = {}
        self._by_digest: dict[str, Ingest] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def fill(self, chunks: Iterator[bytes]) -> None:
        """Take in a whole archive; in a thread."""
        archive = Archive(compression.decompressed(chunks))
        for entry in archive:
            name = _plain(entry.name)
            if len(self._files) >= MOST_FILES:
                raise ArchiveError(f"more than {MOST_FILES} files in an image archive")
            if entry.kind == FILE:
                ingest = self._content.ingest()
                if earlier := self._files.pop(name, None):
                    earlier.close()
                self._files[name] = ingest
                for piece in archive.contents():
                    ingest.write(piece)
            elif entry.kind in (SYMLINK, HARD_LINK):
                folder = "" if entry.kind == HARD_LINK else os.path.dirname(name)
                self._links[name] = os.path.normpath(os.path.join(folder, os.fsdecode(entry.link)))
        self._by_digest = {ingest.digest: ingest for ingest in self._files.values()}

    def close(self) -> None:
        """Remove what was not committed."""
        for ingest in self._files.values():
            ingest.close()

    async def commit(self, digest: str) -> None:
        """Bring a blob of the archive into the store; an image can have the same layer twice, side by side."""
        async with self._locks.setdefault(digest, asyncio.Lock()):
            if digest in self._content:
                return
            ingest = self._by_digest.get(digest)
            if ingest is None:
                raise InvalidArgument(f"invalid archive: {digest} is not in it")
            await asyncio.to_thread(ingest.finish)
            self._content.commit(ingest)

    def document(self, digest: str) -> bytes:
        """Return a small blob of the archive or of the store."""
        if digest in self._by_digest:
            return _bytes(self._by_digest[digest])
        if digest in self._content:
            return self._content.read(digest)
        raise InvalidArgument(f"invalid archive: {digest} is not in it")

    def images(self, platform: Platform | None) -> list[Found]:
        """Return the images of the archive; InvalidArgument when it is no image archive."""
        indexed = self._indexed(platform) if "index.json" in self._files else []
        if "manifest.json" not in self._files:
            if indexed:
                return indexed
            raise InvalidArgument("invalid archive: neither manifest.json nor index.json is in it")
        known = {manifest.parse_manifest(one.manifest, one.media_type).config.digest: one for one in indexed}
        try:
            entries = json.loads(_bytes(self._files["manifest.json"]))
            return [self._saved(entry, known) for entry in entries]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidArgument(f"invalid archive: malformed manifest.json: {error!r}") from error

    def _saved(self, entry: dict[str, Any], known: dict[str, Found]) -> Found:
        """Read an entry of docker save's manifest.json."""
        names = [reference.parse(name) for name in entry.get("RepoTags") or ()]
        config = self._file(str(entry["Config"]))
        if config.digest in known:
            return known[config.digest]._replace(names=names)
        layers = [self._layer(str(name)) for name in entry.get("Layers") or ()]
        descriptor = Descriptor(config.digest, config.size, manifest.OCI_CONFIG)
        return Found(manifest.make_manifest(descriptor, layers), manifest.OCI_MANIFEST, names)

    def _layer(self, name: str) -> Descriptor:
        ingest = self._file(name)
        with ingest.path.open("rb") as file:
            kind = compression.detect(file.read(compression.HEAD))
        plain = manifest.LAYER_KINDS["none"]
        return Descriptor(ingest.digest, ingest.size, manifest.LAYER_KINDS.get(kind, f"{plain}+{kind}"))

    def _file(self, name: str) -> Ingest:
        """Return a file by name; archives of old name the same layer several times by links."""
        for _ in range(8):
            if found := self._files.get(os.path.normpath(name)):
                return found
            if name not in self._links:
                break
            name = self._links[name]
        raise InvalidArgument(f"invalid archive: {name} is not in it")

    def _indexed(self, platform: Platform | None) -> list[Found]:
        """Read index.json: an image may stand in it several times, once for each of its names."""
        found: dict[str, Found] = {}
        for descriptor, annotations in manifest.entries_of(_bytes(self._files["index.json"])):
            data = self._follow(descriptor.digest, platform or host_platform())
            names = _named(annotations)
            digest = manifest.digest_of(data)
            if digest in found:
                found[digest].names.extend(name for name in names if name not in found[digest].names)
            else:
                found[digest] = Found(data, manifest.kind_of(data, descriptor.media_type), names)
        return list(found.values())

    def _follow(self, digest: str, platform: Platform) -> bytes:
        for _ in range(manifest.DEEPEST_INDEX):
            data = self.document(digest)
            if manifest.kind_of(data) not in manifest.INDEXES:
                return data
            digest = manifest.choose(data, platform).digest
        raise InvalidArgument("invalid archive: an index of indexes that has no end")


def _named(annotations: dict[str, str]) -> list[Reference]:
    """Return the name that an index gives to an image: containerd's annotation, or OCI's when it is more than a tag."""
    name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
    if not any(mark in name for mark in ":/"):
        return []
    ref = reference.parse(name)
    return [ref] if ref.tag and not ref.digest else []


def _plain(name: bytes) -> str:
    return os.path.normpath(os.fsdecode(name).lstrip("/"))


def _bytes(ingest: Ingest) -> bytes:
    if ingest.size > LARGEST_DOCUMENT:
        raise PydockError(f"invalid archive: a document of {ingest.size} bytes")
    return ingest.path.read_bytes()
