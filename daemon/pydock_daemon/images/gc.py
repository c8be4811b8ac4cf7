"""Garbage collection: what is reachable from the images stays, everything else goes. Used by `service`.

Roots are the images; each leads to its manifest, that to the configuration and the layer blobs. Layers on disk are held by
images, by snapshots of containers and by pins of operations under way. One sweep, no counters to get wrong.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydock_daemon.snapshots import base

if TYPE_CHECKING:
    from .model import Image
    from .service import Images

__all__ = ["base", "blobs_of", "sweep"]


def blobs_of(images: Images, image: Image) -> list[str]:
    """Return the digests of everything that an image consists of."""
    document = json.loads(images.content.read(image.manifest))
    return [image.manifest, document["config"]["digest"], *(layer["digest"] for layer in document["layers"])]


def sweep(images: Images) -> int:
    """Remove blobs and layers that nothing needs; return the bytes of disk that come free by it."""
    blobs: set[str] = set()
    tops: list[str] = []
    for image in images:
        blobs.update(blobs_of(images, image))
        tops += image.chain[-1:]
    return images.content.sweep(blobs) + images.snapshots.sweep(tops)
