"""What the daemon asks by itself, of servers that behave and of those that do not."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

from pydock_daemon.containers import healthcheck, probes
from pydock_daemon.containers.probes import Result
from pydock_shared.wire.container import ContainerConfig, HealthConfig

pytestmark = pytest.mark.root

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(url: str, timeout: float = 5) -> Result:
    asked = HealthConfig(test=["CMD", url], timeout=int(timeout * 1e9))
    check = healthcheck.read(ContainerConfig(healthcheck=asked))
    container = SimpleNamespace(state=SimpleNamespace(pid=os.getpid()))
    return await probes.probe(None, container, check)  # type: ignore[arg-type]


def says(*pieces: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("answer", "code", "output"),
    [
        (b"HTTP/1.1 204 Fine\r\n\r\n", 0, "HTTP 204 Fine\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", 0, "HTTP 302 Found\n"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nill", 1, "HTTP 503 No\nill"),
        (b"SSH-2.0-OpenSSH\r\n", 1, "Bad status line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 1, "400"),
        (b"", 1, "Server disconnected"),
    ],
)
async def test_pages(answer: bytes, code: int, output: str):
    async with serving(says(answer)) as port:
        result = await ask(f"http://127.0.0.1:{port}/")
    assert result.exit_code == code
    assert output in result.output
    assert len(result.output) <= probes.OUTPUT


async def test_a_long_page_is_not_read_to_its_end():
    async with serving(says(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 60_000] * 1000)) as port:
        result = await ask(f"http://127.0.0.1:{port}/")
    assert result.exit_code == 0
    assert len(result.output) == probes.OUTPUT


@pytest.mark.parametrize("scheme", ["http", "grpc"])
async def test_a_server_that_says_nothing(scheme: str):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with serving(serve) as port:
        result = await ask(f"{scheme}://127.0.0.1:{port}/", 0.2)
        assert result == Result(-1, "Health check exceeded timeout (200ms)")
        await asyncio.sleep(0.01)  # the server sees the end


async def test_a_port():
    async with serving(says()) as port:
        assert await ask(f"tcp://localhost:{port}") == Result(0, "")
    result = await ask(f"tcp://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "Connect call failed" in result.output


def grpc(answer: bytes, status: str = "0") -> Serve:
    """A server of gRPC that gives each request the same answer, with the name of the service in a header."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        asked = b""
        while True:
            writer.write(connection.data_to_send())
            for event in connection.receive_data(await reader.read(65536)):
                if isinstance(event, events.RequestReceived):
                    assert ("te", "trailers") in event.headers
                elif isinstance(event, events.DataReceived):
                    asked += event.data
                elif isinstance(event, events.StreamEnded):
                    stream = event.stream_id
                    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
                    if answer:
                        connection.send_data(stream, answer)
                    trailers = [("grpc-status", status), ("grpc-message", asked[7:].decode())]
                    connection.send_headers(stream, trailers, end_stream=True)
                    writer.write(connection.data_to_send())
                    await writer.drain()
                    await reader.read(65536)
                    return

    return serve


@pytest.mark.parametrize(
    ("answer", "status", "code", "output"),
    [
        (b"\0\0\0\0\2\x08\1", "0", 0, "SERVING"),
        (b"\0\0\0\0\2\x08\2", "0", 1, "NOT_SERVING"),
        (b"\0\0\0\0\0", "0", 1, "UNKNOWN"),
        (b"", "5", 1, "grpc-status 5 my.Service"),
        (b"\0\0\0\0\7nonsens", "0", 1, "not an answer about health"),
        (b"\0\0\0\0\7nonsense", "0", 1, "not a message of gRPC"),
        (b"x" * 5000, "0", 1, "the answer is too long"),
    ],
)
async def test_grpc(answer: bytes, status: str, code: int, output: str):
    async with serving(grpc(answer, status)) as port:
        result = await ask(f"grpc://127.0.0.1:{port}/my.Service")
    assert result.exit_code == code
    assert result.output.endswith(output)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_what_is_no_grpc(answer: bytes):
    async with serving(says(answer)) as port:
        result = await ask(f"grpc://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "not gRPC" in result.output or "Connection reset" in result.output
