"""What a client gives to a build while it runs: secrets, an ssh agent, logins. Made by the front, used by `steps`.

The classic protocol has none of it; BuildKit's has a connection on which the engine asks the client.
"""

import asyncio
from typing import Protocol

from pydock_daemon.images.auth import Credentials


class Session(Protocol):
    """The client of one build, as far as it can be asked. ConnectionError from any of these: it has gone."""

    async def secret(self, name: str) -> bytes | None:
        """Return a secret, None when the client has none of that name."""

    async def has_agent(self, name: str) -> bool:
        """Say whether the client has an ssh agent (`default`, or what `--ssh` calls it)."""

    async def forward(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to the agent of that name until either side ends it; the caller closes the writer."""

    async def credentials(self, domain: str) -> Credentials:
        """Return the login for a registry (a domain of `pydock_shared.reference`), an empty one when there is none."""
