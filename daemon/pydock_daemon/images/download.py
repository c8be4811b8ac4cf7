"""One layer blob on its way here: attempts, what goes on after a break, parts of a large one side by side. For `pull`.

A registry often gives each connection a share of what the line could carry, so a large blob comes in parts over several
connections, if the registry takes ranges (OCI distribution specification 1.1, "Pulling blobs"). The bytes on disk are
always the blob's first ones, whatever breaks when: parts that are ahead wait in files without a name.
"""

import asyncio
import contextlib
import tempfile
from collections import deque
from collections.abc import Callable
from typing import IO, Any, NamedTuple, Protocol

import aiohttp

from pydock_shared.errors import PydockError

from .chain import Step
from .content import Ingest
from .progress import Reporter
from .registry import PIECE, Refused, Repository, Unreachable

ATTEMPTS = 5
RETRIED = {408, 416, 429, 500, 502, 503, 504}
CONNECTIONS = 4
LARGE = 4  # parts, from which on a blob is fetched in parts


class Target(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


class Pace(NamedTuple):
    """The first pause after a failure, in seconds, and how many bytes one connection is asked for."""

    patience: float
    part: int


class Download:
    """The download of one blob into an ingest, which belongs to the caller."""

    def __init__(self, repository: Repository, step: Step, ingest: Ingest, report: Reporter, pace: Pace) -> None:
        self._repository, self._step, self._ingest = repository, step, ingest
        self._report, self._pace = report, pace
        self._ahead = 0

    async def run(self) -> None:
        """Bring the blob, with several attempts, each going on where the one before broke off.

        Unreachable or Refused when all have failed; PydockError when the registry sends another blob.
        """
        step, ingest = self._step, self._ingest
        for attempt in range(1, ATTEMPTS + 1):
            begun = ingest.size
            try:
                await self._once()
            except (Unreachable, Refused) as error:
                if attempt == ATTEMPTS or (isinstance(error, Refused) and error.answer not in RETRIED):
                    raise
                await self._report.say(f"Retrying in {attempt} second{'s' * (attempt > 1)}", step.short)
                await asyncio.sleep(attempt * self._pace.patience)
                continue
            if ingest.digest == step.digest:
                return
            if not begun:
                raise PydockError(f"filesystem layer verification failed for digest {step.digest}")
            ingest.restart()  # two halves that do not fit: once more, as a whole
        raise PydockError(f"filesystem layer verification failed for digest {step.digest}")

    async def _once(self) -> None:
        """Fetch what is missing. Only the answer to a first part says whether there may be others beside it."""
        ingest, size = self._ingest, self._step.size
        self._ahead = 0
        if ingest.size > size:
            ingest.restart()
        begin = ingest.size
        if begin == size:
            return  # an earlier attempt had brought all of it
        in_parts = size - begin >= LARGE * self._pace.part
        end = begin + self._pace.part if in_parts else size
        async with self._open(begin, end) as response:
            ranged = _begins(response, begin)
            if begin and not ranged:
                ingest.restart()
            if in_parts and ranged:
                await self._side_by_side(response, end)
            else:
                await self._receive(response, ingest, size - ingest.size)
        if ingest.size < size:
            raise _cut(self._step, ingest.size)

    def _open(self, begin: int, end: int) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        last = "" if end == self._step.size else str(end - 1)
        headers = {"Range": f"bytes={begin}-{last}"} if begin or last else {}
        return self._repository.request("GET", f"blobs/{self._step.digest}", headers=headers)

    async def _side_by_side(self, response: aiohttp.ClientResponse, end: int) -> None:
        """Fetch the parts after the first beside it, a few at a time, and append each when its turn has come."""
        size, part = self._step.size, self._pace.part
        first = self._receive(response, self._ingest, end - self._ingest.size)
        coming: deque[tuple[IO[bytes] | None, asyncio.Task[None]]] = deque()
        with contextlib.ExitStack() as files:
            try:
                async with asyncio.TaskGroup() as group:
                    coming.append((None, group.create_task(first)))
                    for begin in range(end, size, part):
                        if len(coming) == CONNECTIONS:
                            await self._append(*coming[0])
                            coming.popleft()
                        file = files.enter_context(tempfile.TemporaryFile(dir=self._ingest.path.parent))
                        coming.append((file, group.create_task(self._part(begin, min(begin + part, size), file))))
                    while coming:
                        await self._append(*coming[0])
                        coming.popleft()
            except BaseException as failure:
                for begun, task in coming:
                    # What has come of the first part that is not whole can be used still, of those behind it not.
                    await self._take_over(begun)
                    if task.cancelled() or task.exception():
                        break
                raise _first(failure) from None

    async def _part(self, begin: int, end: int, file: IO[bytes]) -> None:
        async with self._open(begin, end) as response:
            if not _begins(response, begin):
                raise Unreachable(f"layer {self._step.digest}: the registry does not give ranges any more")
            await self._receive(response, file, end - begin)
            if file.tell() < end - begin:
                raise _cut(self._step, begin + file.tell())

    async def _append(self, file: IO[bytes] | None, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        if task.cancelled() or task.exception():
            await asyncio.Event().wait()  # the group ends all of us, with the error
        await self._take_over(file)

    async def _take_over(self, file: IO[bytes] | None) -> None:
        if file and not file.closed:
            self._ahead -= file.tell()
            await _to_its_end(lambda: _pour(file, self._ingest))

    async def _receive(self, response: aiohttp.ClientResponse, target: Target, most: int) -> None:
        """Write an answer to a target as it comes; PydockError when there is more of it than there may be."""
        step = self._step
        async for piece in response.content.iter_chunked(4 * PIECE):
            most -= len(piece)
            if most < 0:
                raise PydockError(f"layer {step.digest} is larger than the {step.size} bytes of its manifest")
            await _to_its_end(lambda data=piece: target.write(data))  # type: ignore[misc]
            if target is not self._ingest:
                self._ahead += len(piece)
            self._report.count("Downloading", step.short, self._ingest.size + self._ahead, step.size)


async def _to_its_end(work: Callable[[], Any]) -> None:
    """Do something in a thread, and also when cancelled go on only after it: it works on what is closed then."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _pour(file: IO[bytes], ingest: Ingest) -> None:
    """Append a file to the blob and give its space back."""
    file.seek(0)
    while piece := file.read(4 * PIECE):
        ingest.write(piece)
    file.close()


def _begins(response: aiohttp.ClientResponse, begin: int) -> bool:
    return response.headers.get("Content-Range", "").split("-")[0] == f"bytes {begin}"


def _cut(step: Step, size: int) -> Unreachable:
    return Unreachable(f"layer {step.digest}: unexpected end after {size} of {step.size} bytes")


def _first(failure: BaseException) -> BaseException:
    return _first(failure.exceptions[0]) if isinstance(failure, BaseExceptionGroup) else failure
