"""What a name stands for, as far as it is here: an index, nested ones, and their manifests. Used by all of `images`.

A name leads to a top document. Of a manifest that is one image; of an index it is as many as it has entries, of which
any number is here. Documents never change, so what was read of one is remembered; what is here is asked each time.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydock_shared.errors import InvalidArgument, NotSupported

from . import manifest
from .content import LARGEST_DOCUMENT, Content
from .manifest import Descriptor, Entry
from .refs import Names

IMAGE, ATTESTATION, UNKNOWN = "image", "attestation", "unknown"


class Leaf(NamedTuple):
    """A manifest at the end of a tree: one image, an attestation of one, or something else.

    `blobs` are its configuration and layers, none when the manifest is not here; `config` is the image id if it is one.
    """

    entry: Entry
    kind: str
    config: str
    blobs: tuple[Descriptor, ...]
    present: bool
    available: bool

    @property
    def digest(self) -> str:
        """Return the digest of the manifest."""
        return self.entry.descriptor.digest


class Tree(NamedTuple):
    """What a top document leads to: the indexes that are here, the top first, and every manifest."""

    top: Entry
    indexes: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    whole: bool
    """Whether all of it is here."""

    def images(self) -> list[Leaf]:
        """Return the manifests of images."""
        return [leaf for leaf in self.leaves if leaf.kind == IMAGE]

    def leaf(self, digest: str) -> Leaf | None:
        """Return a manifest by its digest."""
        return next((leaf for leaf in self.leaves if leaf.digest == digest), None)


class _Document(NamedTuple):
    entries: tuple[Entry, ...]
    blobs: tuple[Descriptor, ...]
    media_type: str
    is_index: bool
    is_image: bool


def walk(content: Content, top: str) -> Tree:
    """Return what a document of the store leads to."""
    shown = descriptor(content, top)
    first = Entry(Descriptor(top, shown["size"], shown["mediaType"]), None, {}, shown)
    indexes: list[str] = []
    leaves: dict[str, Leaf] = {}
    missing = False
    pending = [(first, 0)]
    while pending:
        entry, depth = pending.pop(0)
        digest = entry.descriptor.digest
        found = _read(content, digest)
        if found and found.is_index and digest not in indexes:
            indexes.append(digest)
            if depth < manifest.DEEPEST_INDEX and len(leaves) < manifest.MOST_ENTRIES:
                pending += [(inner, depth + 1) for inner in found.entries]
            else:
                missing = True
        elif entry.descriptor.media_type in manifest.INDEXES:
            missing = missing or found is None
        elif digest not in leaves and digest not in indexes:
            leaves[digest] = _leaf(content, entry, found)
    whole = not missing and all(leaf.available for leaf in leaves.values())
    return Tree(first, tuple(indexes), tuple(leaves.values()), whole)


def descriptor(content: Content, digest: str) -> dict[str, Any]:
    """Return the OCI descriptor of a document of the store."""
    document = _read(content, digest)
    size = content.size(digest) if document else 0
    return {"mediaType": document.media_type if document else "", "digest": digest, "size": size}


def _leaf(content: Content, entry: Entry, found: _Document | None) -> Leaf:
    blobs = found.blobs if found else ()
    available = found is not None and all(blob.digest in content for blob in blobs)
    likely = entry.descriptor.media_type in manifest.MANIFESTS or entry.platform is not None
    is_image = found.is_image if found else likely
    kind = ATTESTATION if entry.attests else IMAGE if is_image else UNKNOWN
    config = blobs[0].digest if found and kind == IMAGE else ""
    return Leaf(entry, kind, config, blobs, found is not None, available)


def held(tree: Tree, names: Names) -> Iterator[str]:
    """Yield the digests of what of a tree is to stay: that of images which are here, and what attests them."""
    yield from tree.indexes
    gone = {leaf.digest for leaf in tree.images() if not names.get(leaf.config)}
    for leaf in tree.leaves:
        if leaf.digest not in gone and leaf.entry.subject not in gone:
            yield leaf.digest
            yield from (blob.digest for blob in leaf.blobs)


def _read(content: Content, digest: str) -> _Document | None:
    return _parsed(content.path(digest)) if digest in content else None


@lru_cache(maxsize=2048)
def _parsed(path: Path) -> _Document:
    """Return what a stored document says; one that is of no known kind says nothing but is a document."""
    if path.stat().st_size > LARGEST_DOCUMENT:
        return _Document((), (), "", is_index=False, is_image=False)
    data = path.read_bytes()
    try:
        kind = manifest.kind_of(data)
    except (InvalidArgument, NotSupported):
        return _Document((), tuple(manifest.blobs_of(data)), "", is_index=False, is_image=False)
    try:
        if kind in manifest.INDEXES:
            return _Document(tuple(manifest.entries_of(data)), (), kind, is_index=True, is_image=False)
        found = manifest.parse_manifest(data, kind)
        return _Document((), (found.config, *found.layers), kind, is_index=False, is_image=True)
    except InvalidArgument:
        return _Document((), tuple(manifest.blobs_of(data)), kind, is_index=False, is_image=False)
