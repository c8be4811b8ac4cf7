"""`POST /images/load`: images from an archive, docker-archive or OCI layout, compressed or not. Used by `api.images`.

`manifest.json` names images as `docker save` does, `index.json` as the OCI image layout does; an archive with both
(ours, and Docker's since 25) is read as the second, with the names of both. An index may be there with some of its
platforms only, as `docker save` writes what its store has.
"""

from typing import Any, NamedTuple

from pydock_daemon.snapshots.compression import CompressionError
from pydock_daemon.snapshots.tarstream import ArchiveError
from pydock_shared import jsontext, reference
from pydock_shared.errors import InvalidArgument, NotFound, NotSupported
from pydock_shared.reference import Reference

from . import chain, choose, manifest
from .body import Body, Read
from .chain import Step, Words
from .collected import Collected
from .manifest import Descriptor, Entry, Manifest
from .model import Image, Platform
from .progress import Reporter, Send
from .registry import Document
from .service import Adding, Images

WORDS = Words("", "Loading layer", "")


class Found(NamedTuple):
    """A name's worth of an archive: the top document, the manifests of images to load, and what comes with them.

    `configs` are the image ids of all of its manifests, those that are not to be loaded too. A manifest is written by
    us when the archive has none.
    """

    top: str
    images: list[Document]
    others: list[Document]
    configs: set[str]
    names: list[Reference]


async def load(images: Images, read: Read, platforms: list[Platform], send: Send, *, quiet: bool) -> list[Image]:
    """Load every image of an archive, reporting as Docker does; InvalidArgument when it is none or is corrupt.

    With `platforms` those alone are loaded, and have to be there: NotFound.
    """
    with images.adding() as adding:
        collected = Collected(images.content)
        try:
            try:
                await Body(read).run(collected.fill)
            except (ArchiveError, CompressionError) as error:
                raise InvalidArgument(f"invalid archive: {error}") from error
            found = [one for one in await images_of(collected, platforms) if one.images]
            if not found and platforms:
                wanted = " or ".join(map(str, platforms))
                raise NotFound(f"the archive has no image that matches the specified platform: wanted {wanted}")
            async with Reporter(send, quiet=quiet) as report:
                loaded = [
                    image for one in found for image in await _load_one(images, collected, one, adding, report, send)
                ]
        finally:
            collected.close()
    for image in loaded:
        images.publish("load", image.id, image.id)
    return loaded


async def _load_one(
    images: Images, collected: Collected, found: Found, adding: Adding, report: Reporter, send: Send
) -> list[Image]:
    adding.hold(*(document.digest for document in (*found.images, *found.others)))
    for document in found.images:
        await _unpack(images, collected, document, adding, report)
    for document in found.others:
        for blob in manifest.blobs_of(document.data):
            adding.hold(blob.digest)
            if blob.digest in collected:
                await collected.commit(blob.digest)
        images.content.add(document.data)
    for name in found.names:
        holder = images.names.holder(name)
        if holder and holder.id not in found.configs:
            text = (
                f"The image {name.familiar()} already exists, renaming the old one with ID {holder.id} to empty string"
            )
            await send({"stream": f"{text}\n"})
    loaded = [images.commit(document.digest, found.names, found.top) for document in found.images]
    for name in found.names:
        await send({"stream": f"Loaded image: {name.familiar()}\n"})
    if not found.names:
        for image in loaded:
            await send({"stream": f"Loaded image ID: {image.id}\n"})
    return loaded


async def _unpack(images: Images, collected: Collected, document: Document, adding: Adding, report: Reporter) -> None:
    """Bring the configuration, the layers and the manifest of one image into the store."""
    parsed = _parsed(document)
    adding.hold(parsed.config.digest, *(layer.digest for layer in parsed.layers))
    config = manifest.parse_config(collected.document(parsed.config.digest), len(parsed.layers))
    steps = [
        Step(layer.digest, layer.size, diff_id) for layer, diff_id in zip(parsed.layers, config.diff_ids, strict=True)
    ]

    async def fetch(step: Step) -> None:
        await collected.commit(step.digest)

    await chain.make(images, adding, steps, fetch, report, WORDS)
    await collected.commit(parsed.config.digest)
    images.content.add(document.data)


async def images_of(collected: Collected, platforms: list[Platform]) -> list[Found]:
    """Return what is to be loaded of an archive; InvalidArgument when it is no image archive."""
    found = await _indexed(collected, platforms) if collected.has_file("index.json") else []
    if not collected.has_file("manifest.json"):
        if found:
            return found
        raise InvalidArgument("invalid archive: neither manifest.json nor index.json is in it")
    try:
        for entry in jsontext.parsed(collected.named("manifest.json")):
            _merge(found, _saved(collected, entry, platforms))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidArgument(f"invalid archive: malformed manifest.json: {error!r}") from error
    return found


def _merge(found: list[Found], saved: Found) -> None:
    """Add an entry of manifest.json, which gives its names to what index.json has of the same image already."""
    for one in found:
        if one.configs & saved.configs:
            one.names.extend(name for name in saved.names if name not in one.names)
            return
    found.append(saved)


def _saved(collected: Collected, entry: dict[str, Any], platforms: list[Platform]) -> Found:
    """Read an entry of docker save's manifest.json."""
    names = [reference.parse(name) for name in entry.get("RepoTags") or ()]
    config = collected.file(str(entry["Config"]))
    layers = [collected.layer(str(name)) for name in entry.get("Layers") or ()]
    data = manifest.make_manifest(Descriptor(config.digest, config.size, manifest.OCI_CONFIG), layers)
    return _single(collected, Document(data, manifest.digest_of(data), manifest.OCI_MANIFEST), platforms)._replace(
        names=names
    )


async def _indexed(collected: Collected, platforms: list[Platform]) -> list[Found]:
    """Read index.json: an image may stand in it several times, once for each of its names."""
    found: dict[str, Found] = {}
    for entry in manifest.entries_of(collected.named("index.json")):
        digest = entry.descriptor.digest
        if digest not in found:
            found[digest] = await _tree(collected, digest, platforms)
        found[digest].names.extend(name for name in _named(entry.annotations) if name not in found[digest].names)
    return list(found.values())


async def _tree(collected: Collected, top: str, platforms: list[Platform]) -> Found:
    """Return what is to be loaded of an index or manifest of the archive."""
    document = _document(collected, top)
    if document.media_type not in manifest.INDEXES:
        return _single(collected, document, platforms)

    async def inner(digest: str) -> Document | None:
        return _document(collected, digest) if digest in collected else None

    plan = await choose.explore(document, inner, "invalid archive")
    images = {entry.descriptor.digest: _image(collected, entry) for entry in plan.entries}
    configs = {_parsed(image).config.digest for image in images.values() if image}
    if platforms:
        chosen = [choose.best(plan.entries, platform).descriptor.digest for platform in platforms]
    else:
        there = [digest for digest, image in images.items() if image]
        # Without any that is whole all are tried, and the error names what is missing.
        chosen = [digest for digest in there if _is_whole(collected, images[digest])] or there
    if not chosen:
        raise InvalidArgument(f"invalid archive: no image of the index {top} is in it")
    wanted = [images[digest] or _document(collected, digest) for digest in dict.fromkeys(chosen)]
    others = [
        _opaque(collected, digest)
        for digest in (entry.descriptor.digest for entry in plan.entries if _comes_along(entry, images, chosen))
        if digest in collected
    ]
    return Found(top, wanted, [*plan.indexes, *others], configs, [])


def _single(collected: Collected, document: Document, platforms: list[Platform]) -> Found:
    parsed = _parsed(document)
    config = manifest.parse_config(collected.document(parsed.config.digest), len(parsed.layers)).data
    actual = Platform(*(str(config.get(key) or "") for key in ("os", "architecture", "variant")))
    fits = not platforms or any(platform.runs(actual) for platform in platforms)
    return Found(document.digest, [document] if fits else [], [], {parsed.config.digest}, [])


def _comes_along(entry: Entry, images: dict[str, Document | None], chosen: list[str]) -> bool:
    """Say whether a manifest is no image, nor an attestation of one that stays behind."""
    if images[entry.descriptor.digest]:
        return False
    return not entry.subject or entry.subject in chosen


def _image(collected: Collected, entry: Entry) -> Document | None:
    """Return the manifest of an image if it is here and is one."""
    if entry.attests or entry.descriptor.digest not in collected:
        return None
    try:
        document = _document(collected, entry.descriptor.digest)
        _parsed(document)
    except (InvalidArgument, NotSupported):
        return None
    return document


def _is_whole(collected: Collected, document: Document | None) -> bool:
    return document is not None and all(blob.digest in collected for blob in manifest.blobs_of(document.data))


def _document(collected: Collected, digest: str) -> Document:
    data = collected.document(digest)
    return Document(data, digest, manifest.kind_of(data))


def _opaque(collected: Collected, digest: str) -> Document:
    return Document(collected.document(digest), digest, "")


def _parsed(document: Document) -> Manifest:
    return manifest.parse_manifest(document.data, document.media_type)


def _named(annotations: dict[str, str]) -> list[Reference]:
    """Return the name that an index gives to an image: containerd's annotation, or OCI's when it is more than a tag."""
    name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
    if not any(mark in name for mark in ":/"):
        return []
    ref = reference.parse(name)
    return [ref] if ref.tag and not ref.digest else []
