"""Builds and their clients that are connected now. Held by the engine, and light: nothing of the protocols is here."""

import asyncio
from typing import Any

from pydock_shared.errors import NotFound

PATIENCE = 6.0
"""Seconds that are waited for what another connection of the same client brings. As BuildKit's own."""


class Waiting:
    """Things by name, for some of which somebody waits before they are there."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._things: dict[str, Any] = {}
        self._came = asyncio.Event()

    def put(self, name: str, thing: Any) -> None:
        """Add a thing."""
        self._things[name] = thing
        self._came.set()
        self._came = asyncio.Event()

    def drop(self, name: str, thing: Any) -> None:
        """Forget a thing, unless another one has its name by now."""
        if self._things.get(name) is thing:
            del self._things[name]

    def find(self, name: str) -> Any:
        """Return a thing that is here, None when it is not."""
        return self._things.get(name)

    async def get(self, name: str) -> Any:
        """Return a thing, waiting for it a little. NotFound: it did not come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while name not in self._things:
                    await self._came.wait()
        except TimeoutError:
            raise NotFound(f"no such {self._what} {name}") from None
        return self._things[name]


class BuildKit:
    """What the connections of BuildKit's clients share: sessions by their id, jobs and their contexts by their ref.

    `building` are the records of builds under way by their refs, `listeners` the queues of those who are told of them.
    """

    def __init__(self) -> None:
        self.sessions = Waiting("session")
        self.jobs = Waiting("job")
        self.uploads = Waiting("upload")
        self.building: dict[str, Any] = {}
        self.listeners: set[asyncio.Queue[Any]] = set()
