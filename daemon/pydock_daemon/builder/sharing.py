"""Caches of builds that come from elsewhere and go elsewhere: registries, and folders of clients. Used by `solve`.

What comes is a list of steps; the layers of one are fetched when a build needs it and has it not, so that a large cache
costs what is used of it. What goes are documents (`cacheconfig`), whose layers this engine has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydock_daemon.images import chain, manifest, push, signatures
from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.chain import Step, Words
from pydock_daemon.images.content import Content
from pydock_daemon.images.model import Image
from pydock_daemon.images.progress import Reporter
from pydock_daemon.images.pull import Pull
from pydock_daemon.images.service import Adding, Images
from pydock_shared.errors import InvalidArgument, NotFound, PydockError
from pydock_shared.reference import Reference

from . import cacheconfig, state
from .cache import Cache
from .cacheconfig import Documents, Known
from .state import State
from .tree import Tree

WORDS = Words("", "Extracting", "Pull complete")
Send = Callable[[dict[str, Any]], Awaitable[None]]
Fetching = Callable[[Step, Reporter, Adding], Awaitable[None]]


class Imported:
    """A cache from elsewhere: its steps by their keys, and how to fetch a layer."""

    def __init__(self, steps: dict[str, Known], fetch: Fetching) -> None:
        self._steps, self._fetch = steps, fetch

    async def find(self, images: Images, cache: Cache, adding: Adding, key: str, send: Send) -> Image | None:
        """Return what a step has made there, which is in the cache from now on; None when it is not to be had."""
        step = self._steps.get(key)
        if step is None:
            return None
        parts = [Step(*pair) for pair in _pairs(step)]
        adding.hold(*(part.digest for part in parts))
        try:
            async with Reporter(send) as report:
                await chain.make(
                    images, adding, parts, lambda part: self._fetch(part, report, adding), report, WORDS
                )  # fmt: skip
        except PydockError:
            return None  # it has gone from there meanwhile, or is no such layer: the step is made here
        made = state.scratch()
        made.layers, made.diff_ids = list(step.layers), list(step.diff_ids)
        image = state.commit(images, made, [], moment=0)
        cache.keep(key, image, step.text)
        return image


def _pairs(step: Known) -> Iterator[tuple[str, int, str]]:
    for layer, diff_id in zip(step.layers, step.diff_ids, strict=True):
        yield layer.digest, layer.size, diff_id


async def from_registry(images: Images, ref: Reference, credentials: Credentials) -> Imported | None:
    """Return the cache of that name, None when it is an image of another kind. PydockError: there is none."""
    repository, top = await images.registries.find(ref, ref.digest or ref.tag or "latest", credentials)
    about = cacheconfig.config_of(top.data)
    if about is None:
        return None
    await signatures.check(images.config.signatures, repository, ref, top)
    steps = cacheconfig.read(await repository.document(about.digest, about.size))

    async def fetch(step: Step, report: Reporter, adding: Adding) -> None:
        await Pull(images, repository, ref, report, adding).fetch(step)

    return Imported(steps, fetch)


def from_files(images: Images, tree: Tree) -> Imported:
    """Return the cache that an OCI layout has, the last one of its index. InvalidArgument: it has none."""
    index = tree.get("index.json")
    if index is None:
        raise InvalidArgument("no cache is there: index.json: not found")
    for entry in reversed(manifest.entries_of(b"".join(tree.pieces(index)))):
        about = cacheconfig.config_of(b"".join(_blob(tree, entry.descriptor.digest)))
        if about:
            break
    else:
        raise InvalidArgument("no cache is there: none of the manifests is one of a cache")

    async def fetch(step: Step, report: Reporter, adding: Adding) -> None:
        async with images.fetching(step.digest):
            if step.digest not in images.content:
                await _take(images.content, step.digest, _blob(tree, step.digest))

    return Imported(cacheconfig.read(b"".join(_blob(tree, about.digest))), fetch)


def _blob(tree: Tree, digest: str) -> Iterator[bytes]:
    node = tree.get(f"blobs/{digest.replace(':', '/')}")
    if node is None:
        raise NotFound(f"content {digest}: not found")
    return tree.pieces(node)


async def _take(content: Content, digest: str, pieces: Iterator[bytes]) -> None:
    """Store a blob that must be the one it is said to be."""
    ingest = content.ingest()

    def write() -> None:
        for piece in pieces:
            ingest.write(piece)
        ingest.finish()

    try:
        await asyncio.to_thread(write)
        if ingest.digest != digest:
            raise InvalidArgument(f"the cache has something else as {digest}")
        content.commit(ingest)
    finally:
        ingest.close()


def steps(states: list[State]) -> Iterator[Known]:
    """Yield the steps that have made states, each once."""
    seen = set()
    for at in states:
        for key, count, text in at.trail:
            if key not in seen and count:
                seen.add(key)
                yield Known(key, at.layers[:count], at.diff_ids[:count], text)


@contextmanager
def stored(images: Images, made: Documents) -> Iterator[str]:
    """Have the documents of a cache in the store for the block; give the digest of the manifest."""
    with images.adding() as adding:
        digests = [manifest.digest_of(data) for data in (made.config, made.manifest)]
        adding.hold(*digests, *(layer.digest for layer in made.layers))
        images.content.add(made.config)
        yield images.content.add(made.manifest)


async def send(images: Images, made: Documents, ref: Reference, credentials: Credentials, tell: Send) -> None:
    """Push a cache to a registry."""
    with stored(images, made) as digest:
        await push.push_document(images, digest, ref, credentials, tell)
