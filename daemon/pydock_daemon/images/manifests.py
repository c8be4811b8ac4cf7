"""The manifests of an image as clients see them: which platforms it has and what of them is here. Used by `api.images`.

Source: ImageManifestSummary of the Engine API (1.47 and later). Pure views.
"""

from functools import lru_cache
from typing import Any

from . import tree
from .content import Content
from .model import Image, Platform
from .service import Images
from .tree import Leaf


def descriptor(images: Images, image: Image) -> dict[str, Any]:
    """Return the OCI descriptor of what the names of an image stand for, of its manifest when it leads none."""
    return tree.descriptor(images.content, _targets(images, image)[0])


def of_platform(images: Images, image: Image) -> dict[str, Any]:
    """Return the OCI descriptor of the manifest of one platform, which is how containers tell of their image."""
    # A document never changes; one that is missing may come.
    describe = _described if image.manifest in images.content else _described.__wrapped__
    return describe(images.content, image.manifest, image.platform)


@lru_cache(maxsize=256)
def _described(content: Content, digest: str, platform: Platform) -> dict[str, Any]:
    shown = {key: value for key, value in platform._asdict().items() if value}
    return tree.descriptor(content, digest) | {"platform": shown}


def summaries(images: Images, image: Image) -> list[dict[str, Any]]:
    """Return the manifests of all that the names of an image stand for."""
    found: dict[str, dict[str, Any]] = {}
    for target in _targets(images, image):
        for leaf in images.tree(target).leaves:
            found.setdefault(leaf.digest, _summary(images, leaf))
    return list(found.values())


def size(images: Images, image: Image) -> int:
    """Return the bytes of the files of all platforms that are here under the names of an image."""
    group = images.group(image)
    if len(group) == 1:
        return image.size
    layers = [images.snapshots.layer(chain) for chain in {chain for one in group for chain in one.chain}]
    return sum(layer.size for layer in layers if layer)


def _targets(images: Images, image: Image) -> list[str]:
    """Return the documents that an image leads, indexes first."""
    targets = images.names.targets(image.id)
    return sorted(targets, key=lambda target: not images.names.members(target)) or [image.manifest]


def _summary(images: Images, leaf: Leaf) -> dict[str, Any]:
    content = sum(images.content.size(blob.digest) for blob in leaf.blobs if blob.digest in images.content)
    content += images.content.size(leaf.digest) if leaf.present else 0
    image = images.get(leaf.config)
    unpacked = image.size if image else 0
    shown: dict[str, Any] = {
        "ID": leaf.digest,
        "Descriptor": leaf.entry.shown,
        "Available": leaf.available,
        "Size": {"Content": content, "Total": content + unpacked},
        "Kind": leaf.kind,
    }
    if leaf.kind == tree.IMAGE:
        platform = leaf.entry.shown.get("platform")
        if platform is None:
            platform = {key: value for key, value in images.platform(leaf)._asdict().items() if value}
        users = [user.id for user in images.users(image.id)] if image else []
        shown["ImageData"] = {"Platform": platform, "Containers": users, "Size": {"Unpacked": unpacked}}
    elif leaf.kind == tree.ATTESTATION:
        shown["AttestationData"] = {"For": leaf.entry.subject}
    return shown
