"""One client that can be asked: its files, secrets, ssh agents and logins. Made by the fronts, used by the builder.

The promises are those of `builder.session.Session`. Sources: session/{auth,secrets,sshforward} of BuildKit.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from pydock_daemon.images.auth import Credentials
from pydock_shared.errors import InvalidArgument, NotFound, NotSupported, PydockError
from pydock_shared.reference import HUB

from .messages import make
from .state import Waiting
from .transport import Caller

FILES = "/moby.filesync.v1.FileSync/DiffCopy"
CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
AGENT = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"
HEALTH = "/grpc.health.v1.Health/Check"
EVERY, PATIENCE = 15.0, 60.0
"""Seconds between two questions whether the client is well, and for which an answer is waited for."""
UPLOAD = "/moby.upload.v1.Upload/Pull"
HUB_HOST = "registry-1.docker.io"
PIECE = 1 << 15
EXPOSED = "x-docker-expose-session-"
"""How the names of a session's headers begin."""


class Identity(NamedTuple):
    """What a client says of itself: `methods` are what it answers, `shared_key` names the files that it gives."""

    id: str
    name: str
    shared_key: str
    methods: frozenset[str]


def identity(headers: Callable[[str], Iterable[str]]) -> Identity:
    """Return who a client is by its headers, which are asked for in lower case. InvalidArgument: it does not say."""
    uuid, name, key = (next(iter(headers(f"{EXPOSED}{word}")), "") for word in ("uuid", "name", "sharedkey"))
    if not uuid:
        raise InvalidArgument("no session id in request")
    return Identity(uuid, name, key, frozenset(path.lower() for path in headers(f"{EXPOSED}grpc-method")))


async def serve(sessions: Waiting, sock: socket.socket, who: Identity) -> None:
    """Have a client among those that can be asked, until it goes. The socket belongs to this call."""
    client = Client(sock, who)
    try:
        await client.open()
        sessions.put(who.id, client)
        await client.gone()
    finally:
        sessions.drop(who.id, client)
        client.close()


class Client:
    """The client of builds behind one connection of `/session`. The socket belongs to it."""

    def __init__(self, sock: socket.socket, who: Identity) -> None:
        self.caller = Caller(sock)
        self.name, self.shared_key, self._methods = who.name, who.shared_key, who.methods

    async def open(self) -> None:
        """Begin to be able to ask."""
        await self.caller.open()

    async def gone(self) -> None:
        """Return when the client has closed the connection, or does not answer: it is asked now and then."""
        closed = self.caller.connection.closed if self.caller.connection else None
        while closed and not closed.done():
            await asyncio.wait([closed], timeout=EVERY)
            if not closed.done() and self.answers(HEALTH):
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self.caller.ask(HEALTH, make("Empty"), "Health")
                except (PydockError, ConnectionError, TimeoutError):
                    return

    def close(self) -> None:
        """End the connection."""
        self.caller.close()

    def answers(self, path: str) -> bool:
        """Say whether the client knows a method."""
        return path.lower() in self._methods

    async def secret(self, name: str) -> bytes | None:
        """Return a secret, None when the client has none of that name."""
        if not self.answers(SECRET):
            return None
        try:
            found = await self.caller.ask(SECRET, make("SecretOf", ID=name), "Secret")
        except NotFound:
            return None
        return bytes(found.data)

    async def has_agent(self, name: str) -> bool:
        """Say whether the client has an ssh agent of that name."""
        if not self.answers(AGENT):
            return False
        try:
            await self.caller.ask(AGENT, make("AgentOf", ID=name), "Empty")
        except PydockError:
            return False
        return True

    async def forward(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to the agent of that name until either side ends it; the caller closes the writer."""

        async def out(stream: Any) -> None:
            while piece := await reader.read(PIECE):
                await stream.send_message(make("Bytes", data=piece))
            await stream.end()

        async with self.caller.call(FORWARD, "Bytes", "Bytes", [("buildkit.ssh.id", name)]) as stream:
            await stream.send_request()
            sending = asyncio.create_task(out(stream))
            try:
                while (message := await stream.recv_message()) is not None:
                    writer.write(message.data)
                    await writer.drain()
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await sending

    async def credentials(self, domain: str) -> Credentials:
        """Return the login for a registry, an empty one when there is none."""
        if not self.answers(CREDENTIALS):
            return Credentials()
        host = HUB_HOST if domain == HUB else domain
        try:
            found = await self.caller.ask(CREDENTIALS, make("CredentialsOf", Host=host), "Credentials")
        except (NotFound, NotSupported):
            return Credentials()
        if not found.Username:
            return Credentials(identity_token=found.Secret)
        return Credentials(found.Username, found.Secret)

    @asynccontextmanager
    async def files(self, metadata: list[tuple[str, str]]) -> AsyncIterator[Any]:
        """Give the stream in which the client tells its files, as `filesync` reads them."""
        async with self.caller.call(FILES, "Packet", "Packet", metadata) as stream:
            yield stream

    async def uploaded(self, host: str, path: str) -> AsyncIterator[bytes]:
        """Yield the archive that the client was given as its context (`docker build -`)."""
        async with self.caller.call(UPLOAD, "Bytes", "Bytes", [("urlhost", host), ("urlpath", path)]) as stream:
            await stream.send_request(end=True)
            while (message := await stream.recv_message()) is not None:
                yield bytes(message.data)
