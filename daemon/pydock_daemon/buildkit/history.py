"""Records of the builds of BuildKit's clients, for `docker buildx history`: what was asked, how it went, what was told.

A file for each in `build-history` of the data root: the record, then the messages of its status, each behind its
length. The last ones are kept. Written by `jobs`, read by `services`.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from grpclib.const import Status

from pydock_shared.errors import NotFound

from .messages import CLASSES, make, timestamp
from .progress import Telling, words
from .state import BuildKit

MOST = 50
"""Records that stay, besides those that are pinned."""
LONGEST = 8 << 20
"""Bytes of messages that are kept of one build."""
STARTED, COMPLETE, DELETED = range(3)


class History:
    """The records of one engine. Those of builds under way are told by the jobs themselves."""

    def __init__(self, buildkit: BuildKit, root: Path) -> None:
        self._buildkit, self._root = buildkit, root / "build-history"

    def _path(self, ref: str) -> Path:
        return self._root / hashlib.sha256(ref.encode()).hexdigest()

    @asynccontextmanager
    async def recorded(self, request: Any, telling: Telling) -> AsyncIterator[Any]:
        """Give the record of a build, which is kept when the block ends, with the error that it ends with."""
        made = make(
            "BuildRecord", Ref=request.Ref, Frontend=request.Frontend, FrontendAttrs=dict(request.FrontendAttrs),
            Exporters=request.Exporters, CreatedAt=timestamp(time.time_ns()),
        )  # fmt: skip
        self._buildkit.building[made.Ref] = made
        self._tell(STARTED, made)
        try:
            yield made
        except BaseException as error:
            _failed(made, error)
            raise
        finally:
            made.CompletedAt.CopyFrom(timestamp(time.time_ns()))
            _count(made, telling.messages)
            await asyncio.shield(asyncio.to_thread(self._keep, made, list(telling.messages)))
            self._buildkit.building.pop(made.Ref, None)
            self._tell(COMPLETE, made)

    def _keep(self, record: Any, messages: list[Any]) -> None:
        self._root.mkdir(mode=0o700, exist_ok=True)
        left, pieces = LONGEST, [record.SerializeToString()]
        for message in messages:
            pieces.append(message.SerializeToString())
            left -= len(pieces[-1])
            if left < 0:
                break
        _write(self._path(record.Ref), pieces)
        for old in [one for one in self._kept() if not one.pinned][MOST:]:
            self._path(old.Ref).unlink(missing_ok=True)

    def _kept(self) -> list[Any]:
        """Return the records of builds that are over, the youngest first."""
        found = []
        for path in self._root.iterdir() if self._root.is_dir() else ():
            with suppress(OSError, StopIteration, DecodeError):
                found.append(CLASSES["BuildRecord"].FromString(next(_pieces(path))))
        return sorted(found, key=lambda one: (-one.CreatedAt.seconds, -one.CreatedAt.nanos))

    async def listen(self, request: Any) -> AsyncGenerator[Any, None]:
        """Yield what a request asks for: builds under way, those that are over, and then those to come."""

        def wanted(record: Any) -> bool:
            return request.Ref in ("", record.Ref)

        queue: asyncio.Queue[Any] = asyncio.Queue(MOST)
        self._buildkit.listeners.add(queue)
        try:
            found = [_event(STARTED, record) for record in self._buildkit.building.values() if wanted(record)]
            if not request.ActiveOnly:
                kept = await asyncio.to_thread(self._kept)
                found += [_event(COMPLETE, record) for record in kept if wanted(record)]
            for event in found[: request.Limit or None]:
                yield event
            while not request.EarlyExit:
                event = await queue.get()
                if wanted(event.record) and not (request.ActiveOnly and event.type == DELETED):
                    yield event
        finally:
            self._buildkit.listeners.discard(queue)

    def _tell(self, kind: int, record: Any) -> None:
        for queue in self._buildkit.listeners:
            if queue.full():
                queue.get_nowait()  # who does not read loses the oldest, and nobody waits
            queue.put_nowait(_event(kind, record))

    def has(self, ref: str) -> bool:
        """Say whether there is a record of a build that is over."""
        return self._path(ref).exists()

    async def status(self, ref: str) -> list[Any]:
        """Return what a build that is over has told."""
        pieces = await asyncio.to_thread(lambda: list(_pieces(self._path(ref))))
        return [CLASSES["Status"].FromString(piece) for piece in pieces[1:]]

    async def update(self, ref: str, *, pinned: bool, delete: bool) -> None:
        """Pin a record, or remove it. NotFound: there is none."""
        path = self._path(ref)
        if not path.exists():
            raise NotFound(f"no build record {ref}")
        first, *rest = await asyncio.to_thread(lambda: list(_pieces(path)))
        record = CLASSES["BuildRecord"].FromString(first)
        if delete:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            self._tell(DELETED, record)
            return
        record.pinned = pinned
        await asyncio.to_thread(_write, path, [record.SerializeToString(), *rest])


def _event(kind: int, record: Any) -> Any:
    return make("BuildEvent", type=kind, record=record)


def _failed(record: Any, error: BaseException) -> None:
    code = Status.CANCELLED if isinstance(error, asyncio.CancelledError) else Status.UNKNOWN
    record.error.code, record.error.message = getattr(error, "code", code.value), words(error)
    for url, value in getattr(error, "details", ()):
        record.error.details.add(type_url=url, value=value)


def _count(record: Any, messages: Iterable[Any]) -> None:
    """Write into a record how many steps there were, and how many of them came from the cache or ended."""
    steps = {vertex.digest: vertex for message in messages for vertex in message.vertexes}
    record.numTotalSteps = len(steps)
    record.numCachedSteps = sum(step.cached for step in steps.values())
    record.numCompletedSteps = sum(step.HasField("completed") for step in steps.values())


def _write(path: Path, pieces: list[bytes]) -> None:
    made = path.with_suffix(".new")
    made.write_bytes(b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces))
    made.rename(path)


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while length := file.read(4):
            yield file.read(int.from_bytes(length, "big"))
