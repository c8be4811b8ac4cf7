"""`GET /images/get`: images as one archive, docker-archive and OCI layout at once. For `api.images` and `base`.

Blobs go out as they are stored, so manifests keep their digests and nothing is compressed again. The layout is Docker's
since 25: blobs/sha256/*, index.json, manifest.json, oci-layout, repositories.
"""

import asyncio
import tarfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydock_shared import reference
from pydock_shared.errors import NotFound
from pydock_shared.reference import Reference

from . import manifest
from .model import Image, Platform, host_rank
from .service import Images

PIECE = 1 << 20
Blob = Path | bytes


class Saved(NamedTuple):
    """A name's worth of images to be saved: its parts as (digest, bytes or file), and its names.

    `top` is the document that the names stand for, a manifest or an index; `id` and `layers` are the one image of it
    that manifest.json tells of.
    """

    id: str
    top: str
    media_type: str
    layers: list[str]
    names: list[Reference]
    blobs: dict[str, Blob]
    created: int


class Meant(NamedTuple):
    """What a name of a request stands for; `ref` is how it is called in the archive, if at all."""

    image: Image
    target: str
    ref: Reference | None


def chosen(images: Images, names: list[str], platforms: Sequence[Platform] = ()) -> list[Saved]:
    """Return what names stand for: a bare repository name is all of its tags, as with Docker. NotFound as usual.

    Of an index everything goes that is here; of `platforms` one goes as an image of its own, several as their index.
    """
    found: dict[str, Saved] = {}
    for name in names:
        for meant in _meant(images, name):
            one = _saved(images, name, meant, platforms)
            refs = found.setdefault(one.top, one).names
            if meant.ref and meant.ref not in refs:
                refs.append(meant.ref)
    return list(found.values())


def _meant(images: Images, name: str) -> list[Meant]:
    image, ref = None, None
    try:
        image, ref = images.names.find(name)
    except NotFound:
        bare = reference.parse(name, default_tag=False)
        if bare.tag or bare.digest or not images.names.tags_in(bare.name):
            raise NotFound(f"No such image: {name}") from None
        ref = bare
    if ref is None:
        return [Meant(image, image.manifest, None)] if image else []
    given = reference.parse(name, default_tag=False)
    if not given.tag and not given.digest:
        return [Meant(holder, images.names.target(tag), tag) for tag, holder in images.names.tags_in(given.name)]
    target = images.names.target(ref)
    return [Meant(image, target, ref if ref.tag and not ref.digest else None)] if image else []


def _saved(images: Images, name: str, meant: Meant, platforms: Sequence[Platform]) -> Saved:
    tree, wanted = images.tree(meant.target), [images.resolve_variant(name, meant.target, one) for one in platforms]
    here = [leaf for leaf in tree.images() if leaf.available and (not wanted or leaf.config in wanted)]
    if not here:
        raise NotFound(f"{name}: nothing of the image is here as it came")
    left_out = {leaf.digest for leaf in tree.images() if leaf not in here}
    lead = min(here, key=lambda leaf: host_rank(images.platform(leaf)))
    content, digests, top = images.content, {lead.digest}, lead.digest
    leaves = [lead]
    if len(platforms) != 1:
        top, digests = meant.target, set(tree.indexes)
        leaves = [leaf for leaf in tree.leaves if leaf.available and not {leaf.digest, leaf.entry.subject} & left_out]
    digests |= {digest for leaf in leaves for digest in (leaf.digest, *(blob.digest for blob in leaf.blobs))}
    image = images.get(lead.config)
    return Saved(
        id=lead.config,
        top=top,
        media_type=manifest.kind_of(content.read(top)),
        layers=[blob.digest for blob in lead.blobs[1:]],
        names=[],
        blobs={digest: content.path(digest) for digest in digests},
        created=image.created if image else 0,
    )


def archive(saved: list[Saved]) -> Iterator[bytes]:
    """Yield the archive; blocks on the disk."""
    blobs: dict[str, Blob] = {}
    for one in saved:
        blobs |= one.blobs
    created = max((one.created for one in saved), default=0) // 1_000_000_000
    for folder in ("blobs", "blobs/sha256"):
        yield _header(folder, 0, created)
    for digest, blob in sorted(blobs.items()):
        yield from _file(f"blobs/sha256/{digest.removeprefix('sha256:')}", blob, created)
    documents: dict[str, Any] = {
        "index.json": _index(saved),
        "manifest.json": [_entry(one) for one in saved],
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
    }
    if repositories := _repositories(saved):
        documents["repositories"] = repositories
    for name, document in documents.items():
        yield from _file(name, manifest.encode(document), created)
    yield bytes(2 * tarfile.BLOCKSIZE)


def layout(images: Images, top: str) -> Iterator[bytes]:
    """Yield an OCI layout of a manifest that is none of an image, with its blobs; blocks on the disk."""
    document = images.content.read(top)
    for folder in ("blobs", "blobs/sha256"):
        yield _header(folder, 0, 0)
    for digest in sorted({top, *(blob.digest for blob in manifest.blobs_of(document))}):
        yield from _file(f"blobs/sha256/{digest.removeprefix('sha256:')}", images.content.path(digest), 0)
    entry = {"mediaType": manifest.kind_of(document), "digest": top, "size": len(document)}
    index = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": [entry]}
    for name, value in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        yield from _file(name, manifest.encode(value), 0)
    yield bytes(2 * tarfile.BLOCKSIZE)


async def stream(images: Images, saved: list[Saved]) -> AsyncGenerator[bytes, None]:
    """Yield the archive piece by piece, read in a thread; its blobs stay until the end."""
    pieces = archive(saved)
    following: Callable[[], bytes | None] = lambda: next(pieces, None)  # noqa: E731
    with images.content.pinned() as pins:
        pins.hold(*(digest for one in saved for digest in one.blobs))
        while (piece := await asyncio.to_thread(following)) is not None:
            yield piece


def _index(saved: list[Saved]) -> dict[str, Any]:
    entries = []
    for one in saved:
        path = one.blobs[one.top]
        size = len(path) if isinstance(path, bytes) else path.stat().st_size
        descriptor: dict[str, Any] = {"mediaType": one.media_type, "digest": one.top, "size": size}
        for ref in one.names:
            names = {"io.containerd.image.name": ref.canonical(), "org.opencontainers.image.ref.name": ref.tag}
            entries.append(descriptor | {"annotations": names})
        if not one.names:
            entries.append(descriptor)
    return {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": entries}


def _entry(one: Saved) -> dict[str, Any]:
    return {
        "Config": _name(one.id),
        "RepoTags": [ref.familiar() for ref in one.names] or None,
        "Layers": [_name(digest) for digest in one.layers],
    }


def _name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _repositories(saved: list[Saved]) -> dict[str, dict[str, str]]:
    """Return the oldest form of names, which some readers still look at: repository, tag, id of the top layer."""
    found: dict[str, dict[str, str]] = {}
    for one in saved:
        for ref in one.names:
            if one.layers and ref.tag:
                found.setdefault(ref.familiar_name(), {})[ref.tag] = one.layers[-1].removeprefix("sha256:")
    return found


def _header(name: str, size: int, created: int, *, folder: bool = True) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = size, max(created, 0)
    entry.mode = 0o755 if folder else 0o644
    entry.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return entry.tobuf(tarfile.PAX_FORMAT)


def _file(name: str, blob: Blob, created: int) -> Iterator[bytes]:
    if isinstance(blob, bytes):
        yield _header(name, len(blob), created, folder=False)
        yield blob + bytes(-len(blob) % tarfile.BLOCKSIZE)
        return
    with blob.open("rb") as file:
        size = blob.stat().st_size
        yield _header(name, size, created, folder=False)
        while piece := file.read(PIECE):
            yield piece
        yield bytes(-size % tarfile.BLOCKSIZE)
