"""`POST /images/create?fromImage=`: an image from a registry. Used by `api.images`.

Order: index, platform, manifest, configuration, layers (three downloads at a time, unpacking beside them), then one
transaction that makes the image and its names visible. Whatever fails before leaves nothing. An index is kept as it
came; further platforms join it when they are pulled.
"""

import asyncio
import logging

from pydock_daemon.snapshots import base
from pydock_shared.errors import InvalidArgument, NotFound, PydockError
from pydock_shared.reference import Reference

from . import chain, choose, manifest, signatures
from .auth import Credentials
from .chain import Step, Words
from .choose import Plan
from .content import LARGEST_DOCUMENT
from .download import Download, Pace
from .manifest import Configuration, Entry, Manifest
from .model import Image, Platform
from .progress import Reporter, Send
from .registry import Document, Refused, Repository, Unreachable, as_pull_error
from .service import Adding, Images

log = logging.getLogger("pydockd.images")
AT_A_TIME = 3
WORDS = Words("Already exists", "Extracting", "Pull complete")


async def pull(
    images: Images, ref: Reference, platform: Platform | None, credentials: Credentials, send: Send
) -> Image:
    """Bring an image here by tag or digest, reporting as Docker does, and return it.

    NotFound when the registry has none of that name or platform, Forbidden when it is not signed as it must be;
    PydockError naming the thing when it lies or breaks.
    """
    image, news = await _pull_one(images, ref, platform, credentials, send)
    await _tell(images, ref, send, news=news)
    return image


async def pull_all(
    images: Images, ref: Reference, platform: Platform | None, credentials: Credentials, send: Send
) -> None:
    """Bring every tag of a repository here, as `pull` does; it is told of once."""
    try:
        tags = await images.registries.tags(ref, credentials)
    except Refused as error:
        raise as_pull_error(error, ref) from error
    news = False
    for tag in tags:
        one = Reference(ref.domain, ref.path, tag)
        news |= (await _pull_one(images, one, platform, credentials, send))[1]
    await _tell(images, ref, send, news=news)


async def _tell(images: Images, ref: Reference, send: Send, *, news: bool) -> None:
    word = "Downloaded newer image for" if news else "Image is up to date for"
    await send({"status": f"Status: {word} {ref.familiar()}"})
    images.publish("pull", ref.familiar(), ref.familiar_name())


async def _pull_one(
    images: Images, ref: Reference, platform: Platform | None, credentials: Credentials, send: Send
) -> tuple[Image, bool]:
    name = ref.digest or ref.tag or "latest"
    try:
        repository, top = await images.registries.find(ref, name, credentials)
        verdict = await signatures.check(images.config.signatures, repository, ref, top)
        async with Reporter(send) as report:
            await report.message(f"Pulling from {ref.path}", f"{ref.name}@{name}" if ref.digest else name)
            if verdict.warning:
                await report.message(f"Warning: {verdict.warning}")
            with images.adding() as adding:
                work = Pull(images, repository, ref, report, adding)
                image, news = await work.run(top, platform)
            signatures.keep(images.store, image.id, ref, top.digest, verdict.keys)
            await report.message(f"Digest: {top.digest}")
    except Refused as error:
        raise as_pull_error(error, ref) from error
    except InvalidArgument as error:
        # The caller's request was fine: it is the registry's content that is not.
        raise PydockError(f"{ref.familiar()}: {error.message}") from error
    return image, news


class Pull:
    """One pull under way."""

    def __init__(
        self, images: Images, repository: Repository, ref: Reference, report: Reporter, adding: Adding
    ) -> None:
        self._images, self._repository, self._ref = images, repository, ref
        self._report, self._adding = report, adding
        self._slots = asyncio.Semaphore(AT_A_TIME)

    async def run(self, top: Document, platform: Platform | None) -> tuple[Image, bool]:
        """Make the image and its names; return it and whether that changed anything."""
        document, plan = await self._choose(top, platform)
        parsed = manifest.parse_manifest(document.data, document.media_type)
        blobs = [layer.digest for layer in parsed.layers]
        self._adding.hold(document.digest, parsed.config.digest, *blobs, *(index.digest for index in plan.indexes))
        config = await self._config(parsed)
        actual = Platform(*(str(config.data.get(key) or "") for key in ("os", "architecture", "variant")))
        if platform and not plan.indexes and not any(one.runs(actual) for one in platform.accepted()):
            raise NotFound(
                f"image with reference {self._ref.familiar()} was found but does not match the specified platform: "
                f"wanted {platform}, actual: {actual}"
            )
        self._adding.hold_layers(base.chain_ids(config.diff_ids))
        names, known = self._wanted(top.digest), self._images.names
        image = self._images.get(parsed.config.digest)
        whole = image and self._images.has(document.digest, image.id, blobs) and self._images.is_unpacked(image)
        if not whole:
            await self._layers(parsed, config)
        for index in plan.indexes:
            await self._add(index.data)
        for entry in plan.attestations(document.digest):
            await self._attestation(entry)
        news = not whole or not known.holder(names[0]) or known.target(names[0]) != top.digest
        await self._add(document.data)
        return self._images.commit(document.digest, names, top.digest, locally=False), news

    async def _layers(self, parsed: Manifest, config: Configuration) -> None:
        steps = [
            Step(layer.digest, layer.size, diff_id)
            for layer, diff_id in zip(parsed.layers, config.diff_ids, strict=True)
        ]
        for step in steps:
            if step.digest not in self._images.content:
                await self._report.say("Pulling fs layer", step.short)
        await chain.make(self._images, self._adding, steps, self.fetch, self._report, WORDS)

    def _wanted(self, top: str) -> list[Reference]:
        """Return the names that the image is to have: the tag that was asked for, and the digest."""
        ref = self._ref
        digest = Reference(ref.domain, ref.path, None, ref.digest or top)
        return [Reference(ref.domain, ref.path, ref.tag), digest] if ref.tag and not ref.digest else [digest]

    async def _choose(self, top: Document, platform: Platform | None) -> tuple[Document, Plan]:
        """Return the manifest of a platform, and the indexes that lead to it."""
        if top.media_type not in manifest.INDEXES:
            return top, Plan([], [])
        plan = await choose.explore(top, self._document, self._ref.familiar())
        return await self._document(choose.best(plan.entries, platform).descriptor.digest), plan

    async def _document(self, digest: str) -> Document:
        """Return a manifest or index that is here, or in the registry."""
        if digest in self._images.content:
            data = self._images.content.read(digest)
            return Document(data, digest, manifest.kind_of(data))
        return await self._repository.manifest(digest)

    async def _attestation(self, entry: Entry) -> None:
        """Bring what attests an image, without which its index could not be pushed again; the image does without."""
        content = self._images.content
        try:
            document = await self._document(entry.descriptor.digest)
            blobs = manifest.blobs_of(document.data)
            self._adding.hold(document.digest, *(blob.digest for blob in blobs))
            for blob in blobs:
                if blob.digest not in content and blob.size <= LARGEST_DOCUMENT:
                    await self._add(await self._repository.document(blob.digest, blob.size))
            await self._add(document.data)
        except (Refused, InvalidArgument) as error:
            log.info("%s: no attestation %s: %s", self._ref.familiar(), entry.descriptor.digest, error)

    async def _config(self, parsed: Manifest) -> Configuration:
        digest, content = parsed.config.digest, self._images.content
        if digest in content:
            return manifest.parse_config(content.read(digest), len(parsed.layers))
        data = await self._repository.document(digest, parsed.config.size)
        config = manifest.parse_config(data, len(parsed.layers))
        await self._add(data)
        return config

    async def _add(self, data: bytes) -> None:
        """Store a document; the wait for the disk is a thread's."""
        if manifest.digest_of(data) in self._images.content:
            return
        ingest = self._images.content.ingest()
        try:
            ingest.write(data)
            await asyncio.to_thread(ingest.finish)
            self._images.content.commit(ingest)
        finally:
            ingest.close()

    async def fetch(self, step: Step) -> None:
        """Bring one layer blob here, unless it is, or another pull does so right now."""
        content = self._images.content
        async with self._images.fetching(step.digest), self._slots:
            if step.digest in content:
                return
            ingest = content.partial(step.digest)
            try:
                await asyncio.to_thread(ingest.resume)
                pace = Pace(self._images.patience, self._images.part)
                await Download(self._repository, step, ingest, self._report, pace).run()
                await self._report.say("Verifying Checksum", step.short)
                await asyncio.to_thread(ingest.finish)
                content.commit(ingest)
            except (Unreachable, asyncio.CancelledError):
                ingest.keep()
                raise
            finally:
                ingest.close()
        await self._report.say("Download complete", step.short)
