"""The image service: what there is, by which name, and how it comes and goes. Used by `api` and by containers.

The operations themselves are a file each (pull, load, save, import, delete, ...); this class holds what they share.
Everything runs on the event loop; what takes long goes to threads and child processes.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pydock_daemon.config import Config
from pydock_daemon.events import Events
from pydock_daemon.snapshots import base
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_daemon.store import Store
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotFound, PydockError, described
from pydock_shared.reference import Reference

from . import content, gc, manifest, refs, signatures, tree, uses
from .content import Content, Pins
from .hosts import Hosts
from .model import Image, Platform, host_rank
from .refs import Names
from .registry import Registries
from .tree import Leaf, Tree
from .uses import Uses

SCHEMA = content.SCHEMA + refs.SCHEMA + uses.SCHEMA + signatures.SCHEMA

USES = {"pull", "push", "load", "import", "save", "tag"}
"""Events after which an image counts as used, as after a container's creation and removal."""
Progress = Callable[[dict[str, Any]], Awaitable[None]]


class User(Protocol):
    """A container, as far as images need to know it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""


Users = Callable[[str], Sequence[User]]
"""Says which containers were made from an image id."""


def _nobody(image: str) -> Sequence[User]:
    return ()


class Adding:
    """What an operation that brings content in needs until its image is committed."""

    def __init__(self, pins: Pins, snapshots: Snapshots, stack: ExitStack) -> None:
        self._pins, self._snapshots, self._stack = pins, snapshots, stack

    def hold(self, *digests: str) -> None:
        """Keep blobs, present or to come, from being swept."""
        self._pins.hold(*digests)

    def hold_image(self, image: Image) -> None:
        """Keep all of an image from being swept, and from prunes and automatic collection."""
        self.hold(image.id, image.manifest, *image.blobs)
        self.hold_layers(image.chain)

    def hold_layers(self, chain: Iterable[str]) -> None:
        """Keep layers, present or to come, from being swept."""
        self._stack.enter_context(self._snapshots.pinned(chain))


def _hosts(config: Config) -> Hosts:
    return Hosts(config.insecure_registries, config.registry_mirrors, config.certificates, config.registries_conf)


class Images:
    """The images of one daemon."""

    def __init__(self, root: Path, store: Store, events: Events, snapshots: Snapshots, config: Config) -> None:
        """Read what there is below `root`, DATA_ROOT/content."""
        self.store, self.events, self.snapshots, self.config = store, events, snapshots, config
        self.content = Content(root, store)
        self.names = Names(store)
        self.uses = Uses(store, self.names)
        self.registries = Registries(_hosts(config))
        self.users: Users = _nobody
        self.hidden: Callable[[Image], bool] = lambda image: False
        """Whether lists leave an image out unless all are asked for: the builder's steps between."""
        self.on_added: Callable[[], None] = lambda: None
        """Told when an operation that brings content in has ended."""
        self.patience = 1.0
        """Seconds of the first pause after a failure."""
        self.part = 8 << 20
        """Bytes that one connection is asked for when a layer is large."""
        self._fetching: dict[str, asyncio.Lock] = {}

    def reach(self) -> None:
        """Reach registries from now on as the settings have it."""
        self.registries.hosts = _hosts(self.config)

    async def open(self) -> None:
        """Drop what no image and no container needs: leftovers of a crash."""
        self.sweep()

    async def close(self) -> None:
        """Close the connections to registries and wait for removals under way."""
        await self.registries.close()
        self.uses.write()
        self.content.close()

    def sweep(self) -> int:
        """Remove content that nothing needs; return the bytes that come free by it."""
        return gc.sweep(self.names, self.content, self.snapshots)

    async def settled(self) -> None:
        """Wait until what was removed is gone from the disk as well."""
        await asyncio.gather(self.content.settled(), self.snapshots.settled())

    def count(self) -> int:
        """Return how many images there are."""
        return len(self.names)

    def __iter__(self) -> Iterator[Image]:
        """Yield every image, the youngest first."""
        return iter(self.names)

    def resolve(self, name: str, platform: Platform | None = None) -> Image:
        """Return an image by name, id or beginning of an id; NotFound as `No such image: x:latest`.

        A name that has several platforms is the one asked for, or this host's if it has that; an id is one platform.
        """
        image, ref = self.names.find(name)
        if platform is None:
            return image
        if ref is not None:
            return self.names[self.resolve_variant(name, self.names.target(ref), platform)]
        if platform.runs(image.platform):
            return image
        raise _other_platform(name, platform, [image.platform])

    def resolve_variant(self, name: str, target: str, platform: Platform) -> str:
        """Return the id of the image that a document has for a platform; NotFound with Docker's words."""
        variants = self.variants(target)
        for leaf, image in variants:
            if platform.runs(self.platform(leaf)):
                return image.id
        raise _other_platform(name, platform, [image.platform for _, image in variants])

    def platform(self, leaf: Leaf) -> Platform:
        """Return for what the image of a manifest is: what its index says, else what it says itself."""
        image = self.names.get(leaf.config)
        return leaf.entry.platform or (image.platform if image else Platform("", ""))

    def tree(self, target: str) -> Tree:
        """Return what a document leads to, as far as it is here."""
        return tree.walk(self.content, target)

    def variants(self, target: str) -> list[tuple[Leaf, Image]]:
        """Return the images of a document that are here and can be run, in its order."""
        found = ((leaf, self.names.get(leaf.config)) for leaf in self.tree(target).images())
        return [(leaf, image) for leaf, image in found if image]

    def group(self, image: Image) -> list[Image]:
        """Return an image and the other platforms that are here under the names that it leads."""
        ids = {image.id} | {id_ for target in self.names.targets(image.id) for id_ in self.names.members(target)}
        return [found for found in (self.names.get(id_) for id_ in sorted(ids)) if found]

    def target_of(self, image: Image, ref: Reference | None) -> str:
        """Return the document that a name stands for; for an id, which is of one platform, its manifest."""
        return self.names.target(ref) if ref else image.manifest

    def get(self, id_: str) -> Image | None:
        """Return an image by its whole id."""
        return self.names.get(id_)

    def is_whole(self, image: Image) -> bool:
        """Say whether everything of an image is here still."""
        return self.has(image.manifest, image.id, image.blobs) and self.is_unpacked(image)

    def has(self, *digests: str | Iterable[str]) -> bool:
        """Say whether blobs are here."""
        flat = (one for digest in digests for one in ([digest] if isinstance(digest, str) else digest))
        return all(digest in self.content for digest in flat)

    def is_unpacked(self, image: Image) -> bool:
        """Say whether the layers of an image are here."""
        return all(self.snapshots.layer(chain) for chain in image.chain)

    async def admit(self, image: Image, name: str) -> str:
        """Let an image be used by the name or id that was asked for; return a warning, Forbidden by the policy."""
        if not self.config.signatures:
            return ""
        _, ref = self.names.find(name)
        refs = [ref] if ref else [reference.parse(one) for one in (*image.repo_tags, *image.repo_digests)]
        warning = await signatures.admit(self.config.signatures, self.store, image.id, refs)
        if self.get(image.id) is None:
            raise NotFound(f"No such image: {name}")  # removed meanwhile
        return warning

    def tag(self, source: str, target: str) -> None:
        """Give an image a further name, taking it from whichever image had it."""
        image, named = self.names.find(source)
        ref = reference.parse(target)
        if ref.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        self.names.add(image, [ref], self.target_of(image, named))
        self.publish("tag", image.id, ref.familiar())

    def publish(self, action: str, actor: str, name: str = "") -> None:
        """Publish an event of an image, with its labels as Docker gives them."""
        image = self.names.get(actor)
        if action in USES and (used := image or self.names.named(actor)):
            self.uses.touch(used.id)
        self.events.publish("image", action, actor, {**(image.labels if image else {}), "name": name or actor})

    @contextmanager
    def adding(self) -> Iterator["Adding"]:
        """Frame an operation that brings content in: what it holds stays, and what it leaves unused goes at the end.

        A failure of the system inside becomes a PydockError.
        """
        try:
            with self.content.pinned() as pins, ExitStack() as stack:
                yield Adding(pins, self.snapshots, stack)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise  # the client's: nobody is left to be told
            if error.errno == errno.ENOSPC:
                self.content.drop_partials()  # room counts more now than what a next pull could go on with
            raise PydockError(f"image store: {described(error)}") from error
        finally:
            self.sweep()
            self.on_added()

    @asynccontextmanager
    async def fetching(self, digest: str) -> AsyncIterator[None]:
        """Let one operation at a time bring a blob; the others find it afterwards."""
        lock = self._fetching.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._fetching.pop(digest, None)

    def commit(
        self,
        manifest_digest: str,
        names: Iterable[Reference],
        target: str = "",
        *,
        locally: bool = True,
        made_here: bool = False,
    ) -> Image:
        """Make an image visible whose manifest, configuration, blobs and layers are all here.

        `target` is what the names stand for, an index that has the manifest or, as usual, the manifest itself.
        `made_here` is for what came from nowhere, which no policy wants to be signed.
        """
        data = self.content.read(manifest_digest)
        parsed = manifest.parse_manifest(data, manifest.kind_of(data))
        config = manifest.parse_config(self.content.read(parsed.config.digest), len(parsed.layers))
        chain = base.chain_ids(config.diff_ids)
        layers = [self.snapshots.layer(name) for name in chain]
        image = Image(
            id=parsed.config.digest,
            config=config.data,
            chain=chain,
            manifest=manifest_digest,
            blobs=[layer.digest for layer in parsed.layers],
            size=sum(layer.size for layer in layers if layer),
            created=config.created,
        )
        with self.store.transaction():
            image = self.names.add(image, list(names), target or manifest_digest, locally=locally)
            if made_here:
                signatures.made_here(self.store, image.id)
            if target and target != manifest_digest:
                self._join(target, image)
        return self.names.get(image.id) or image

    def _join(self, target: str, image: Image) -> None:
        """Let an image be one of an index, and the best for this host lead its names."""
        platforms = {found.id: self.platform(leaf) for leaf, found in self.variants(target)}
        lead = min(platforms, key=lambda id_: host_rank(platforms[id_]), default=image.id)
        self.names.join(target, list(platforms), lead)


def _other_platform(name: str, wanted: Platform, there: list[Platform]) -> NotFound:
    if len(there) != 1:
        return NotFound(f"image with reference {name} was found but does not provide the specified platform ({wanted})")
    return NotFound(
        f"image with reference {name} was found but does not match the specified platform: wanted {wanted}, "
        f"actual: {there[0]}"
    )
