"""One blob on its way to a registry: mounted from another repository, or sent, going on after a break. Used by push.

Protocol: OCI distribution specification 1.1, "Pushing blobs": POST opens an upload, PATCH brings bytes, PUT closes it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
from yarl import URL

from pydock_shared.errors import PydockError

from .registry import Refused, Repository, Unreachable

ATTEMPTS = 4
PIECE = 1 << 20
STEP = 1 << 18
"""Bytes for which a slow line has as long as a registry may be silent."""
GONE = (404, 416)


class Upload:
    """The upload of one file."""

    def __init__(
        self, repository: Repository, digest: str, path: Path, counted: Callable[[int], None], patience: float
    ) -> None:
        """`counted` is told how many bytes are on their way; `patience` is the first pause, in seconds."""
        self._repository, self._digest, self._path = repository, digest, path
        self._counted, self._patience = counted, patience
        self._size = path.stat().st_size
        self._where: URL | None = None
        self._sent = 0

    async def run(self, source: str | None) -> str:
        """Bring the blob, from the repository `source` if the registry can; return Docker's word for what was done.

        Unreachable, Refused when all attempts have failed.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if await self._once(source):
                    return f"Mounted from {source}"
            except (Unreachable, Refused) as error:
                final = isinstance(error, Refused) and error.answer < 500 and error.answer not in GONE
                if final or attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(attempt * self._patience)
                await self._look()
            else:
                break
        return "Pushed"

    async def _once(self, source: str | None) -> bool:
        """Send what is left; say whether nothing had to be sent, because the registry had it elsewhere."""
        if self._where is None and await self._open(source):
            return True
        if self._sent < self._size:
            await self._send_rest()
        async with self._repository.request("PUT", str(self._place().update_query({"digest": self._digest}))):
            return False

    async def _open(self, source: str | None) -> bool:
        query = ""
        if source is not None:
            self._repository.also_read(source)
            query = str(URL.build(query={"mount": self._digest, "from": f"{self._repository.endpoint.prefix}{source}"}))
        async with self._repository.request("POST", f"blobs/uploads/{query}") as response:
            if source is not None and response.status == 201:
                return True
            self._sent = 0
            self._move(response)
        return False

    async def _send_rest(self) -> None:
        begin = self._sent
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(self._size - begin),
            "Content-Range": f"{begin}-{self._size - 1}",
        }
        where = str(self._place())
        try:
            async with (
                asyncio.timeout(None) as limit,
                self._repository.request(
                    "PATCH", where, headers=headers, body=lambda: self._pieces(begin, limit)
                ) as response,
            ):
                self._sent = self._size
                self._move(response)
        except TimeoutError as error:
            raise Unreachable(f'Patch "{where}": timeout') from error

    async def _pieces(self, begin: int, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
        """Yield the file from a place on; `limit` ends a request of which nothing is taken: aiohttp limits reads."""
        done, clock, patience = begin, asyncio.get_running_loop().time, self._repository.patience
        # Of a request that has had its answer too early there is no limit any more to set.
        with self._path.open("rb") as file, suppress(RuntimeError):
            file.seek(begin)
            while piece := await asyncio.to_thread(file.read, PIECE):
                for at in range(0, len(piece), STEP):
                    limit.reschedule(clock() + patience if patience else None)
                    yield piece[at : at + STEP]
                done += len(piece)
                self._counted(done)
            limit.reschedule(None)

    async def _look(self) -> None:
        """Ask how much has come; when nobody knows, the next attempt begins anew."""
        where, self._where, self._sent = self._where, None, 0
        if where is None:
            return
        try:
            async with self._repository.request("GET", str(where)) as response:
                last = response.headers.get("Range", "").rpartition("-")[2]
                self._sent = min(int(last) + 1, self._size) if last.isdecimal() and last != "0" else 0
                self._move(response)
        except (Unreachable, Refused):
            self._where, self._sent = None, 0

    def _move(self, response: aiohttp.ClientResponse) -> None:
        location = response.headers.get("Location")
        if not location:
            raise PydockError("the registry gives no place for an upload")
        try:
            self._where = response.url.join(URL(location, encoded=True))
        except ValueError as error:
            raise PydockError(f"the registry gives no place for an upload: {location!r}: {error}") from error

    def _place(self) -> URL:
        if self._where is None:
            raise PydockError("the registry gives no place for an upload")
        return self._where
