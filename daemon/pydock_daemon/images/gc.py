"""Garbage collection: what is reachable from the images stays, everything else goes. Used by `service`.

Roots are the images and the names. An image leads to its manifest, its configuration and its layer blobs; a name to the
index that it stands for, and to the manifests in it of the images that are here. Layers on disk are held by images, by
snapshots of containers and by pins of operations under way. One sweep, no counters to get wrong.
"""

from pydock_daemon.snapshots.overlay import Snapshots

from . import tree
from .content import Content
from .refs import Names


def sweep(names: Names, content: Content, snapshots: Snapshots) -> int:
    """Remove blobs and layers that nothing needs; return the bytes of disk that come free by it."""
    blobs: set[str] = set()
    chains: list[str] = []
    for image in names:
        blobs |= {image.id, image.manifest, *image.blobs}
        chains += image.chain
    for target in names.targets():
        if target not in blobs:
            blobs |= set(tree.held(tree.walk(content, target), names))
    return content.sweep(blobs) + snapshots.sweep(chains)
