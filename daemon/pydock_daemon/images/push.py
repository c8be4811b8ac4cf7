"""`POST /images/{name}/push`: an image to a registry. Used by `api.images`.

Blobs go as they are stored, so what was pulled is pushed with the same digests. Those that are there are skipped.
"""

import asyncio

from pydock_shared.errors import NotFound, PydockError
from pydock_shared.reference import Reference

from . import manifest
from .auth import Credentials
from .model import Image
from .progress import Reporter, Send
from .registry import Refused, Repository
from .service import Images
from .upload import Upload

AT_A_TIME = 5


async def push(images: Images, ref: Reference, credentials: Credentials, send: Send) -> None:
    """Push a tag, or without one every tag of a repository; NotFound with Docker's words when there is none here."""
    if ref.tag:
        holder = images.names.holder(ref)
        wanted = [(ref, holder)] if holder else []
    else:
        wanted = [(tag, image) for tag, image in images.names.tags_in(ref.name)]
    try:
        async with Reporter(send) as report:
            await report.message(f"The push refers to repository [{ref.name}]")
            if not wanted:
                raise NotFound(f"An image does not exist locally with the tag: {ref.familiar_name()}")
            repository = await images.registries.reach(ref, credentials, "pull,push")
            for tag, image in wanted:
                await _push_one(images, repository, tag, image, report)
                data = images.content.read(image.manifest)
                await report.message(f"{tag.tag}: digest: {image.manifest} size: {len(data)}")
                await send({"progressDetail": {}, "aux": {"Tag": tag.tag, "Digest": image.manifest, "Size": len(data)}})
    except Refused as error:
        if error.code == "DENIED":
            raise PydockError(f"denied: {error.message.removeprefix('denied: ')}") from error
        raise


async def _push_one(images: Images, repository: Repository, ref: Reference, image: Image, report: Reporter) -> None:
    with images.content.pinned() as pins:
        pins.hold(image.id, image.manifest, *image.blobs)
        ids = {
            digest: diff_id.removeprefix("sha256:")[:12]
            for digest, diff_id in zip(image.blobs, image.diff_ids, strict=True)
        }
        slots = asyncio.Semaphore(AT_A_TIME)

        async def layer(digest: str) -> None:
            await report.say("Preparing", ids[digest])
            async with slots:
                await _blob(images, repository, ref, digest, report, ids[digest])

        try:
            async with asyncio.TaskGroup() as group:
                for digest in ids:
                    group.create_task(layer(digest))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        await _blob(images, repository, ref, image.id, None, "")
        data = images.content.read(image.manifest)
        headers = {"Content-Type": manifest.kind_of(data)}
        async with repository.request("PUT", f"manifests/{ref.tag}", headers=headers, body=lambda: data):
            pass
    images.names.add(image, [Reference(ref.domain, ref.path, None, image.manifest)], locally=False)
    images.publish("push", ref.familiar(), ref.familiar_name())


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
