"""A client that is asked: the connection to its agent is carried in both directions, and ends."""

import asyncio
import socket

import pytest
from tests.fixtures.buildkit import Files

from pydock_daemon.buildkit import session
from pydock_daemon.buildkit.session import Client, Identity
from pydock_daemon.buildkit.transport import serve


@pytest.fixture
async def client():
    ours, theirs = socket.socketpair()
    files = Files({}, agents=("a",), logins={"x:5": ("me", "word"), "registry-1.docker.io": ("", "token")})
    answering = asyncio.create_task(serve(theirs, files.methods()))
    made = Client(ours, Identity("i", "n", "k", frozenset(path.lower() for path in files.methods())))
    await made.open()
    yield made
    made.close()
    await asyncio.wait([answering])


async def test_an_agent(client: Client) -> None:
    assert await client.has_agent("a")
    assert not await client.has_agent("b")
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    carrying = asyncio.create_task(client.forward("a", reader, writer))
    loop = asyncio.get_running_loop()
    ours.setblocking(False)
    for text in (b"one", b"two" * 10_000):
        await loop.sock_sendall(ours, text)
        found = b""
        while found.replace(b"a:", b"") != text:
            found += await loop.sock_recv(ours, 1 << 16)
    ours.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(5):
        await carrying
    writer.close()
    ours.close()


async def test_logins(client: Client) -> None:
    assert (await client.credentials("x:5"))[:2] == ("me", "word")
    assert (await client.credentials("docker.io")).identity_token == "token"
    assert await client.credentials("other") == ("", "", "", "")


async def test_secrets_of_a_client_without_any(client: Client) -> None:
    assert await client.secret("none") is None


async def test_a_client_that_has_gone(client: Client) -> None:
    client.close()
    with pytest.raises(ConnectionError):
        await client.secret("x")


async def test_a_client_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "EVERY", 0.01)
    monkeypatch.setattr(session, "PATIENCE", 0.1)
    ours, theirs = socket.socketpair()
    with theirs:
        made = Client(ours, Identity("i", "n", "k", frozenset([session.HEALTH.lower()])))
        await made.open()
        async with asyncio.timeout(5):
            await made.gone()
        made.close()
