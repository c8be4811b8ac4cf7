"""Automatic garbage collection: above the high watermark images and build cache go until the low one. Used by `app`.

What was used longest ago goes first: images that no container has and nobody has pinned, and steps and caches of builds
that are not in use. Nothing is taken that was used within the least age. Off unless `image-gc-high` is set.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from pydock_daemon.builder import prune
from pydock_daemon.engine import Engine
from pydock_daemon.images import delete
from pydock_daemon.images.model import Image
from pydock_daemon.values import Watermark
from pydock_shared.errors import Conflict, PydockError
from pydock_shared.times import rfc3339

EVERY = 60.0
"""Seconds between two looks when nothing comes in."""
log = logging.getLogger("pydockd.upkeep")


class Candidate(NamedTuple):
    """Something that may go; `evict` removes it, or raises when it has come into use."""

    used: int
    kind: str
    id: str
    attributes: dict[str, str]
    evict: Callable[[], Awaitable[None]]


class Collector:
    """Watches over the watermarks of one engine; `run` until it is cancelled."""

    def __init__(self, engine: Engine, high: Watermark, low: Watermark, min_age: int) -> None:
        self._engine, self._high, self._low, self._min_age = engine, high, low, min_age
        self._news = asyncio.Event()
        engine.images.on_added = self._news.set

    async def run(self) -> None:
        """Look after everything that comes in, and from time to time."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._news.wait()
            self._news.clear()
            try:
                await self.collect()
            except (PydockError, OSError) as error:
                log.warning("automatic collection: %s", error)

    async def collect(self) -> int:
        """Evict what the watermarks ask for; return how many images and entries of the build cache went."""
        gone = 0
        if not await self._above(self._high):
            return gone
        for candidate in await self._candidates():
            try:
                await candidate.evict()
            except Conflict:
                continue  # somebody uses it now
            gone += 1
            log.info("evicted %s %s, used last at %s", candidate.kind, candidate.id, rfc3339(candidate.used))
            attributes = candidate.attributes | {"lastUsed": rfc3339(candidate.used)}
            self._engine.events.publish(candidate.kind, "evict", candidate.id, attributes)
            await self._engine.images.settled()
            if not await self._above(self._low):
                return gone
        log.warning("the store is above its low watermark of %s, and nothing more can go", self._low)
        return gone

    async def _above(self, mark: Watermark) -> bool:
        if mark.percent:
            disk = os.statvfs(self._engine.config.data_root)
            used = disk.f_blocks - disk.f_bfree
            return used * 100 > mark.percent * max(used + disk.f_bavail, 1)
        return await self._size() > mark.size

    async def _size(self) -> int:
        """Return the bytes of blobs, layers and caches of builds."""
        entries = await prune.entries(self._engine.containers, self._engine.build_cache)
        caches = sum(int(entry["Size"]) for entry in entries if entry.get("Volume"))
        return self._engine.images.content.total() + self._engine.snapshots.total() + caches

    async def _candidates(self) -> list[Candidate]:
        """Return what may go, the one used longest ago first."""
        engine, youngest = self._engine, time.time_ns() - self._min_age
        found = [self._image(image) for image in engine.images if self._may_go(image)]
        for entry in await prune.entries(engine.containers, engine.build_cache):
            if not entry["InUse"] and not entry["Shared"]:
                found.append(self._entry(entry))
        return sorted((each for each in found if each.used <= youngest), key=lambda each: each.used)

    def _may_go(self, image: Image) -> bool:
        """Say whether an image may go, with the other platforms that are here under its names."""
        images = self._engine.images
        if images.hidden(image) or images.names.follows(image.id):
            return False
        return not any(
            images.users(one.id) or images.content.held(one.id) or images.uses.is_pinned(one)
            for one in images.group(image)
        )

    def _image(self, image: Image) -> Candidate:
        async def evict() -> None:
            found = self._engine.images.get(image.id)
            if found is None or not self._may_go(found):
                raise Conflict(f"image {image.short} is in use")
            delete.delete(self._engine.images, image.id, force=True)

        name = next(iter([*image.repo_tags, *image.repo_digests]), image.id)
        attributes = {**image.labels, "name": name, "size": str(image.size)}
        used = max(self._engine.images.uses.last(one) for one in self._engine.images.group(image))
        return Candidate(used, "image", image.id, attributes, evict)

    def _entry(self, entry: prune.Entry) -> Candidate:
        async def evict() -> None:
            ids, _ = await prune.remove(self._engine.containers, self._engine.build_cache, [entry])
            if not ids:
                raise Conflict(f"build cache {entry['ID']} is in use")

        attributes = {"name": entry["Description"], "size": str(entry["Size"])}
        return Candidate(entry["LastUsedAt"], "builder", entry["ID"], attributes, evict)
