"""One look at a container's health: a command inside it, or a question of the daemon's own. Used by `health`.

`http://`, `https://`, `tcp://` and `grpc://` are asked by the daemon through a socket in the container's network
namespace, so they need nothing in the image and work with every network mode. A probe that takes too long is ended.
"""

import asyncio
import importlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import SplitResult

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from pydock_shared.errors import PydockError, Unavailable
from pydock_shared.units import format_duration
from pydock_shared.wire.exec import ExecCreate

from . import netns
from .exec import Exec, Execs
from .healthcheck import Check
from .model import Container

OUTPUT = 4096
"""Bytes of a probe's output that are kept, as in Docker."""
DEATH = 10.0
"""Seconds that a killed probe has to be gone."""
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Result:
    """What a probe found: 0 is healthy, -1 that it did not come to its end."""

    exit_code: int
    output: str


async def probe(execs: Execs, container: Container, check: Check) -> Result:
    """Look once. Only Unavailable is raised: the fault is the engine's, and says nothing about the container."""
    if check.url is None:
        return await _command(execs, container, check)
    return await _ask(QUESTIONS[check.url.scheme], container, check.url, check.timeout)


async def _command(execs: Execs, container: Container, check: Check) -> Result:
    asked = ExecCreate(cmd=list(check.command), attach_stdout=True, attach_stderr=True)
    try:
        item = await execs.run(container, asked, capture=OUTPUT)
    except Unavailable:
        raise
    except PydockError as error:
        return Result(-1, error.message)
    assert item.end is not None
    try:
        event = await asyncio.wait_for(asyncio.shield(item.end), check.timeout / 1e9)
    except TimeoutError:
        return _late(check.timeout, await _kill(execs, item))
    except asyncio.CancelledError:
        execs.kill(item)
        raise
    return Result(event["code"], event["output"])


async def _kill(execs: Execs, item: Exec) -> str:
    """Kill a probe, wait until it has gone, so that they do not pile up, and return what it said."""
    assert item.end is not None
    execs.kill(item)
    try:
        output: str = (await asyncio.wait_for(asyncio.shield(item.end), DEATH))["output"]
    except TimeoutError:
        return ""
    return output


def _late(timeout: int, output: str) -> Result:
    message = f"Health check exceeded timeout ({format_duration(timeout)})"
    return Result(-1, f"{message}: {output}" if output else message)


Question = Callable[[Container, SplitResult], Awaitable[Result]]


async def _ask(question: Question, container: Container, url: SplitResult, timeout: int) -> Result:
    try:
        async with asyncio.timeout(timeout / 1e9):
            return await question(container, url)
    except TimeoutError:
        return _late(timeout, "")
    except (OSError, ClientError, ValueError) as error:
        return Result(1, f"{url.geturl()}: {error}"[:OUTPUT])


def _address(url: SplitResult) -> tuple[str, int]:
    host = url.hostname or "localhost"
    return "127.0.0.1" if host == "localhost" else host, url.port or DEFAULT_PORTS.get(url.scheme, 0)


async def _connect(stack: ExitStack, container: Container, url: SplitResult) -> socket.socket:
    host, port = _address(url)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = stack.enter_context(netns.open_socket(container.state.pid, family))
    await asyncio.get_running_loop().sock_connect(sock, (host, port))
    return sock


async def _tcp(container: Container, url: SplitResult) -> Result:
    with ExitStack() as stack:
        await _connect(stack, container, url)
    return Result(0, "")


async def _grpc(container: Container, url: SplitResult) -> Result:
    """Ask the server, or the service that the path names; SERVING is healthy."""
    # Its library is loaded by those who use it.
    grpc = await asyncio.to_thread(importlib.import_module, f"{__package__}.grpcprobe")
    with ExitStack() as stack:
        sock = await _connect(stack, container, url)
        state: str = await grpc.check(sock, url.netloc, url.path.strip("/"))
    return Result(0 if state == grpc.SERVING else 1, state)


async def _http(container: Container, url: SplitResult) -> Result:
    """Ask for the page; a status from 200 to 399 is healthy. Certificates are not checked: they name other hosts."""
    host, port = _address(url)
    shown = f"[{host}]" if ":" in host else host
    pid = container.state.pid
    connector = TCPConnector(ssl=False, force_close=True, socket_factory=lambda info: netns.open_socket(pid, info[0]))
    target = url._replace(netloc=f"{shown}:{port}", path=url.path or "/").geturl()
    headers = {"User-Agent": "pydock-health", "Host": url.netloc.rpartition("@")[2] or "localhost"}
    session = ClientSession(connector=connector, timeout=ClientTimeout(total=None), auto_decompress=False)
    async with session, session.get(target, headers=headers, allow_redirects=False) as response:
        body = (await response.content.read(OUTPUT)).decode(errors="replace")
        code = 0 if 200 <= response.status < 400 else 1
        return Result(code, f"HTTP {response.status} {response.reason or ''}\n{body}"[:OUTPUT])


QUESTIONS: dict[str, Question] = {"http": _http, "https": _http, "tcp": _tcp, "grpc": _grpc}
