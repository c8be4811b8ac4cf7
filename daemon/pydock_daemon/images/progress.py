"""Progress records as Docker writes them, at a bearable rate. Used by pull, push, load and import.

Clients draw bars from `progressDetail`; `progress` is the same drawn by us, for those that only print.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from pydock_shared.units import format_size

Send = Callable[[dict[str, Any]], Awaitable[None]]
EVERY = 0.1
WIDTH = 50


class Reporter:
    """Sends what is said at once, and of what is counted the newest state, ten times a second. A context manager."""

    def __init__(self, send: Send, *, quiet: bool = False) -> None:
        self._send = send
        self._quiet = quiet
        self._counts: dict[str, dict[str, Any]] = {}
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Reporter":
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticking:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
            if not self._ticking.cancelled() and self._ticking.exception() and error is None:
                raise ConnectionResetError("the client is gone") from self._ticking.exception()

    async def message(self, text: str, id_: str | None = None) -> None:
        """Send a line of its own, about the whole or with an id."""
        await self._send({"status": text} | ({"id": id_} if id_ else {}))

    async def say(self, text: str, id_: str) -> None:
        """Send the state that a layer has come to, after the last that was counted for it."""
        if record := self._counts.pop(id_, None):
            await self._send(record)
        if not self._quiet:
            await self._send({"status": text, "progressDetail": {}, "id": id_})

    def count(self, text: str, id_: str, current: int, total: int) -> None:
        """Note how far a layer has come, in bytes."""
        if not self._quiet:
            detail = {"current": current, "total": total}
            self._counts[id_] = {
                "status": text,
                "progressDetail": detail,
                "progress": bar(current, total),
                "id": id_,
            }

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            for id_ in list(self._counts):
                if record := self._counts.pop(id_, None):
                    await self._send(record)


def bar(current: int, total: int) -> str:
    """Return Docker's bar: `[=====>      ]  32.77kB/2.207MB`, only the number when the total is not known."""
    if total <= 0 or current > total:
        return f"{format_size(current):>8}"
    done = int(current / total * 100) // 2
    return f"[{'=' * done}>{' ' * (WIDTH - done)}]  {format_size(current):>8}/{format_size(total)}"
