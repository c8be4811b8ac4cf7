"""`POST /images/create?fromImage=`: an image from a registry. Used by `api.images`.

Order: manifest, platform, configuration, layers (three downloads at a time, unpacking beside them), then one
transaction that makes the image and its names visible. Whatever fails before leaves nothing.
"""

import asyncio

from pydock_shared.errors import InvalidArgument, NotFound, PydockError
from pydock_shared.reference import Reference

from . import chain, manifest
from .auth import Credentials
from .chain import Step, Words
from .content import Ingest
from .manifest import Configuration, Manifest
from .model import Image, Platform, host_platform
from .progress import Reporter, Send
from .registry import PIECE, Document, Refused, Repository, Unreachable, as_pull_error
from .service import Adding, Images

AT_A_TIME = 3
ATTEMPTS = 5
WORDS = Words("Already exists", "Extracting", "Pull complete")


async def pull(
    images: Images, ref: Reference, platform: Platform | None, credentials: Credentials, send: Send
) -> Image:
    """Bring an image here by tag or digest, reporting as Docker does, and return it.

    NotFound when the registry has none of that name or platform; PydockError naming the thing when it lies or breaks.
    """
    name = ref.digest or ref.tag or "latest"
    try:
        repository, top = await images.registries.find(ref, name, credentials)
        async with Reporter(send) as report:
            await report.message(f"Pulling from {ref.path}", name)
            with images.adding() as adding:
                work = Pull(images, repository, ref, report, adding)
                image, news = await work.run(top, platform)
            await report.message(f"Digest: {top.digest}")
            word = "Downloaded newer image for" if news else "Image is up to date for"
            await report.message(f"Status: {word} {ref.familiar()}")
    except Refused as error:
        raise as_pull_error(error, ref) from error
    except InvalidArgument as error:
        # The caller's request was fine: it is the registry's content that is not.
        raise PydockError(f"{ref.familiar()}: {error.message}") from error
    images.publish("pull", ref.familiar(), ref.familiar_name())
    return image


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
        document = await self._choose(top, platform or host_platform())
        parsed = manifest.parse_manifest(document.data, document.media_type)
        self._adding.hold(document.digest, parsed.config.digest, *(layer.digest for layer in parsed.layers))
        config = await self._config(parsed)
        actual = Platform(*(str(config.data.get(key) or "") for key in ("os", "architecture", "variant")))
        if platform and not platform.runs(actual):
            raise NotFound(
                f"image with reference {self._ref.familiar()} was found but does not match the specified platform: "
                f"wanted {platform}, actual: {actual}"
            )
        names, before = self._wanted(top.digest), self._images.names.holder(self._wanted(top.digest)[0])
        image = self._images.get(parsed.config.digest)
        if image and self._images.is_whole(image):
            image = self._images.names.add(image, names, locally=False)
        else:
            await self._layers(parsed, config)
            await self._add(document.data)
            image = self._images.commit(document.digest, names, locally=False)
        return image, before is None or before.id != image.id

    async def _layers(self, parsed: Manifest, config: Configuration) -> None:
        steps = [
            Step(layer.digest, layer.size, diff_id)
            for layer, diff_id in zip(parsed.layers, config.diff_ids, strict=True)
        ]
        for step in steps:
            if step.digest not in self._images.content:
                await self._report.say("Pulling fs layer", step.short)
        await chain.make(self._images, self._adding, steps, self._fetch, self._report, WORDS)

    def _wanted(self, top: str) -> list[Reference]:
        """Return the names that the image is to have: the tag that was asked for, and the digest."""
        ref = self._ref
        digest = Reference(ref.domain, ref.path, None, ref.digest or top)
        return [Reference(ref.domain, ref.path, ref.tag), digest] if ref.tag and not ref.digest else [digest]

    async def _choose(self, document: Document, platform: Platform) -> Document:
        """Follow indexes to the manifest of a platform."""
        for _ in range(manifest.DEEPEST_INDEX):
            if document.media_type not in manifest.INDEXES:
                return document
            found = manifest.choose(document.data, platform)
            if found.digest in self._images.content:
                data = self._images.content.read(found.digest)
                document = Document(data, found.digest, manifest.kind_of(data, found.media_type))
            else:
                document = await self._repository.manifest(found.digest)
        raise PydockError(f"{self._ref.familiar()}: an index of indexes that has no end")

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
        ingest = self._images.content.ingest()
        try:
            ingest.write(data)
            await asyncio.to_thread(ingest.finish)
            self._images.content.commit(ingest)
        finally:
            ingest.close()

    async def _fetch(self, step: Step) -> None:
        """Bring one layer blob here, unless it is, or another pull does so right now."""
        content = self._images.content
        async with self._images.fetching(step.digest), self._slots:
            if step.digest in content:
                return
            ingest = content.partial(step.digest)
            try:
                await asyncio.to_thread(ingest.resume)
                await self._receive(step, ingest)
                await self._report.say("Verifying Checksum", step.short)
                await asyncio.to_thread(ingest.finish)
                content.commit(ingest)
            except (Unreachable, asyncio.CancelledError):
                ingest.keep()
                raise
            finally:
                ingest.close()
        await self._report.say("Download complete", step.short)

    async def _receive(self, step: Step, ingest: Ingest) -> None:
        """Download with several attempts, each going on where the one before broke off."""
        for attempt in range(1, ATTEMPTS + 1):
            begun = ingest.size
            try:
                await self._stream(step, ingest)
            except (Unreachable, Refused) as error:
                if attempt == ATTEMPTS or (isinstance(error, Refused) and error.answer not in RETRIED):
                    raise
                await self._report.say(f"Retrying in {attempt} second{'s' * (attempt > 1)}", step.short)
                await asyncio.sleep(attempt * self._images.patience)
                continue
            if ingest.digest == step.digest:
                return
            if not begun:
                raise PydockError(f"filesystem layer verification failed for digest {step.digest}")
            ingest.restart()  # two halves that do not fit: once more, as a whole
        raise PydockError(f"filesystem layer verification failed for digest {step.digest}")

    async def _stream(self, step: Step, ingest: Ingest) -> None:
        if ingest.size > step.size:
            ingest.restart()
        if ingest.size == step.size:
            return  # an earlier attempt had brought all of it
        headers = {"Range": f"bytes={ingest.size}-"} if ingest.size else {}
        async with self._repository.request("GET", f"blobs/{step.digest}", headers=headers) as response:
            if ingest.size and response.headers.get("Content-Range", "").split("-")[0] != f"bytes {ingest.size}":
                ingest.restart()
            async for piece in response.content.iter_chunked(4 * PIECE):
                if ingest.size + len(piece) > step.size:
                    raise PydockError(f"layer {step.digest} is larger than the {step.size} bytes of its manifest")
                await asyncio.to_thread(ingest.write, piece)
                self._report.count("Downloading", step.short, ingest.size, step.size)
            if ingest.size < step.size:
                raise Unreachable(f"layer {step.digest}: unexpected end after {ingest.size} of {step.size} bytes")


RETRIED = {408, 416, 429, 500, 502, 503, 504}
