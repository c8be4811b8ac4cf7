"""The image service: what there is, by which name, and how it comes and goes. Used by `api` and by containers.

The operations themselves are a file each (pull, load, save, import, delete, ...); this class holds what they share.
Everything runs on the event loop; what takes long goes to threads and child processes.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydock_daemon.config import Config
from pydock_daemon.events import Events
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_daemon.store import Store
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument
from pydock_shared.reference import Reference

from . import content, gc, manifest, refs
from .content import Content, Pins
from .model import Image
from .refs import Names
from .registry import Registries

SCHEMA = content.SCHEMA + refs.SCHEMA

Progress = Callable[[dict[str, Any]], Awaitable[None]]
Users = Callable[[str], Sequence[tuple[str, bool]]]
"""Says which containers (id, is it running?) were made from an image id."""


class Images:
    """The images of one daemon."""

    def __init__(self, root: Path, store: Store, events: Events, snapshots: Snapshots, config: Config) -> None:
        """Open the store below `root` (the data root) and drop what no image needs: leftovers of a crash."""
        self.store, self.events, self.snapshots, self.config = store, events, snapshots, config
        self.content = Content(root, store)
        self.names = Names(store)
        self.registries = Registries(config.insecure_registries, config.registry_mirrors)
        gc.sweep(self)

    async def close(self) -> None:
        """Close the connections to registries."""
        await self.registries.close()

    def __iter__(self) -> Iterator[Image]:
        """Yield every image, the youngest first."""
        return iter(self.names)

    def resolve(self, name: str) -> Image:
        """Return an image by name, id or beginning of an id; NotFound as `No such image: x:latest`."""
        return self.names.find(name)[0]

    def get(self, id_: str) -> Image | None:
        """Return an image by its whole id."""
        return self.names.get(id_)

    def tag(self, source: str, target: str) -> None:
        """Give an image a further name, taking it from whichever image had it."""
        image = self.resolve(source)
        ref = reference.parse(target)
        if ref.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        self.names.add(image, [ref])
        self.publish("tag", image.id, ref.familiar())

    def publish(self, action: str, actor: str, name: str = "") -> None:
        """Publish an event of an image, with its labels as Docker gives them."""
        image = self.names.get(actor)
        self.events.publish("image", action, actor, {**(image.labels if image else {}), "name": name or actor})

    @contextmanager
    def adding(self) -> Iterator[Pins]:
        """Frame an operation that brings content in: what it holds stays, and what it leaves unused goes at the end."""
        try:
            with self.content.pinned() as pins:
                yield pins
        finally:
            gc.sweep(self)

    def commit(self, manifest_digest: str, names: Iterable[Reference] = ()) -> Image:
        """Make an image visible whose manifest, configuration, blobs and layers are all here."""
        data = self.content.read(manifest_digest)
        parsed = manifest.parse_manifest(data, manifest.kind_of(data))
        config = manifest.parse_config(self.content.read(parsed.config.digest), len(parsed.layers))
        chain = gc.base.chain_ids(config.diff_ids)
        size = sum(layer.size for layer in map(self.snapshots.layer, chain) if layer)
        image = Image(parsed.config.digest, config.data, chain, manifest_digest, size, config.created)
        return self.names.add(image, list(names))
