"""Garbage collection: what is reachable from the images stays, everything else goes. Used by `service`.

Roots are the images; each leads to its manifest, its configuration and its layer blobs. Layers on disk are held by
images, by snapshots of containers and by pins of operations under way. One sweep, no counters to get wrong.
"""

from collections.abc import Iterable

from pydock_daemon.snapshots.overlay import Snapshots

from .content import Content
from .model import Image


def sweep(images: Iterable[Image], content: Content, snapshots: Snapshots) -> int:
    """Remove blobs and layers that nothing needs; return the bytes of disk that come free by it."""
    blobs: set[str] = set()
    chains: list[str] = []
    for image in images:
        blobs |= {image.id, image.manifest, *image.blobs}
        chains += image.chain
    return content.sweep(blobs) + snapshots.sweep(chains)
