"""`POST /images/{name}/push`: an image to a registry. Used by `api.images`.

Blobs go as they are stored, so what was pulled is pushed with the same digests. Those that are there are skipped.
Which part of an image of several platforms goes is Docker's rule (getPushDescriptor in its containerd image store):
the index if all of it is here, else the manifest of this host's platform alone, or the one that is asked for.
"""

import asyncio
from typing import Any, NamedTuple

from pydock_shared.errors import Conflict, NotFound, PydockError
from pydock_shared.reference import Reference

from . import manifest
from .auth import Credentials
from .manifest import Entry
from .model import Image, Platform, host_rank, runs_here
from .progress import Reporter, Send
from .registry import Refused, Repository
from .service import Images
from .tree import Leaf, Tree
from .upload import Upload

AT_A_TIME = 5


class Parcel(NamedTuple):
    """What goes to the registry: manifests with their blobs, and the documents above them, the top last."""

    leaves: list[Leaf]
    documents: list[str]
    top: Entry


async def push(images: Images, ref: Reference, platform: Platform | None, credentials: Credentials, send: Send) -> None:
    """Push a tag, or without one every tag of a repository; NotFound with Docker's words when there is none here."""
    if ref.tag:
        holder = images.names.holder(ref)
        wanted = [(ref, holder)] if holder else []
    else:
        wanted = [(tag, image) for tag, image in images.names.tags_in(ref.name)]
    try:
        async with Reporter(send) as report:
            await report.message(f"The push refers to repository [{ref.name}]")
            if not wanted and (not ref.tag or not images.names.tags_in(ref.name)):
                raise NotFound(f"An image does not exist locally with the tag: {ref.familiar_name()}")
            if not wanted:
                raise NotFound(f"tag does not exist: {ref.familiar()}")
            repository = await images.registries.reach(ref, credentials, "pull,push")
            for tag, image in wanted:
                tree = images.tree(images.names.target(tag))
                parcel = choose(images, tree, platform)
                await _push_one(images, repository, tag, image, parcel, report)
                digest, size = parcel.top.descriptor.digest, parcel.top.descriptor.size
                await report.message(f"{tag.tag}: digest: {digest} size: {size}")
                await send({"progressDetail": {}, "aux": {"Tag": tag.tag, "Digest": digest, "Size": size}})
                if platform is None and digest != tree.top.descriptor.digest:
                    await send({"progressDetail": {}, "aux": _instead(tree, parcel)})
    except Refused as error:
        if error.code == "DENIED":
            raise PydockError(f"denied: {error.message.removeprefix('denied: ')}") from error
        raise
    images.publish("push", ref.familiar(), ref.familiar_name())


async def push_as(images: Images, image: Image, ref: Reference, credentials: Credentials, send: Send) -> None:
    """Push an image under a name that it does not have here."""
    async with Reporter(send) as report:
        repository = await images.registries.reach(ref, credentials, "pull,push")
        parcel = choose(images, images.tree(image.manifest), None)
        await _push_one(images, repository, ref, image, parcel, report)
    images.publish("push", ref.familiar(), ref.familiar_name())


async def push_document(images: Images, digest: str, ref: Reference, credentials: Credentials, send: Send) -> None:
    """Push a manifest that is here and none of an image, with its blobs."""
    blobs = [blob.digest for blob in manifest.blobs_of(images.content.read(digest))]
    async with Reporter(send) as report:
        repository = await images.registries.reach(ref, credentials, "pull,push")
        await _blobs(images, repository, ref, {blob: blob.removeprefix("sha256:")[:12] for blob in blobs}, report)
        await _document(images, repository, digest, str(ref.tag))


def choose(images: Images, tree: Tree, platform: Platform | None) -> Parcel:
    """Return what of a tree is pushed; NotFound or Conflict in Docker's words when that is nothing or not clear."""
    here = [leaf for leaf in tree.images() if leaf.available]
    platforms = {leaf.digest: images.platform(leaf) for leaf in here}
    if platform is None and tree.whole and tree.leaves:
        return Parcel(list(tree.leaves), list(reversed(tree.indexes)), tree.top)
    matching = [leaf for leaf in here if platform is None or platform.runs(platforms[leaf.digest])]
    if not matching:
        what = f"no suitable image manifest found for platform {platform}" if platform else "no image manifest is here"
        raise NotFound(what)
    matching.sort(key=lambda leaf: host_rank(platforms[leaf.digest]))
    first = matching[0]
    if len(matching) > 1 and platform:
        raise Conflict(f"multiple manifests found for platform {platform}")
    if len(matching) > 1 and not runs_here(platforms[first.digest]):
        raise Conflict("multiple matching manifests found but no specific platform requested")
    return Parcel([first], [], first.entry)


def _instead(tree: Tree, parcel: Parcel) -> dict[str, Any]:
    """Return Docker's note on a push of one platform in place of an index that is not here as a whole."""
    return {
        "manifestPushedInsteadOfIndex": True,
        "originalIndex": tree.top.shown,
        "selectedManifest": parcel.top.shown,
    }


async def _push_one(
    images: Images, repository: Repository, ref: Reference, image: Image, parcel: Parcel, report: Reporter
) -> None:
    top = parcel.top.descriptor.digest
    blobs = {blob.digest for leaf in parcel.leaves for blob in leaf.blobs}
    with images.content.pinned() as pins:
        pins.hold(*blobs, *(leaf.digest for leaf in parcel.leaves), *parcel.documents)
        ids = _layers(images, parcel)
        await _blobs(images, repository, ref, ids, report)
        for digest in sorted(blobs - ids.keys()):
            await _blob(images, repository, ref, digest, None, "")
        for digest in [*(leaf.digest for leaf in parcel.leaves), *parcel.documents]:
            await _document(images, repository, digest, str(ref.tag) if digest == top else digest)
    pushed = images.get(parcel.leaves[0].config) if not parcel.documents else None
    images.names.add(pushed or image, [Reference(ref.domain, ref.path, None, top)], top, locally=False)


async def _blobs(images: Images, repository: Repository, ref: Reference, ids: dict[str, str], report: Reporter) -> None:
    """Bring blobs to the registry, a few at a time; `ids` are their names in progress records."""
    slots = asyncio.Semaphore(AT_A_TIME)

    async def one(digest: str) -> None:
        await report.say("Preparing", ids[digest])
        async with slots:
            await _blob(images, repository, ref, digest, report, ids[digest])

    try:
        async with asyncio.TaskGroup() as group:
            for digest in ids:
                group.create_task(one(digest))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _document(images: Images, repository: Repository, digest: str, name: str) -> None:
    data = images.content.read(digest)
    headers = {"Content-Type": manifest.kind_of(data)}
    async with repository.request("PUT", f"manifests/{name}", headers=headers, body=lambda: data):
        pass


def _layers(images: Images, parcel: Parcel) -> dict[str, str]:
    """Return the layer blobs of what is pushed, each with its name in progress records."""
    found: dict[str, str] = {}
    for leaf in parcel.leaves:
        image, layers = images.get(leaf.config), [blob.digest for blob in leaf.blobs[1:]]
        names = image.diff_ids if image and len(image.diff_ids) == len(layers) else layers
        found |= {digest: name.removeprefix("sha256:")[:12] for digest, name in zip(layers, names, strict=True)}
    return found


async def _blob(
    images: Images, repository: Repository, ref: Reference, digest: str, report: Reporter | None, id_: str
) -> None:
    """Bring one blob to the registry unless it has it."""
    try:
        async with repository.request("HEAD", f"blobs/{digest}"):
            if report:
                await report.say("Layer already exists", id_)
            return
    except Refused as error:
        if error.answer != 404:
            raise
    path, size = images.content.path(digest), images.content.size(digest)

    def counted(done: int) -> None:
        if report:
            report.count("Pushing", id_, done, size)

    elsewhere = [name for name in images.names.repositories_with(digest, ref.domain) if name != ref.path]
    word = await Upload(repository, digest, path, counted, images.patience).run(elsewhere[0] if elsewhere else None)
    if report:
        await report.say(word, id_)
