"""The fork server: its children, their ends, and its own."""

import asyncio
import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.engine import eventually

from pydock_daemon.files import process
from pydock_daemon.forkserver import client
from pydock_daemon.forkserver.client import ForkServer
from pydock_shared.errors import InvalidArgument

HERE = {"kind": "running", "bare": False, "users": False}


@pytest.fixture
def forks() -> Iterator[ForkServer]:
    made = ForkServer()
    yield made
    made.close()


def descriptors() -> set[str]:
    gc.collect()
    return {os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


def server_of(forks: ForkServer) -> int:
    assert forks._server
    return forks._server.pid


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def numbers(pid: int) -> list[str]:
    return sorted(os.listdir(f"/proc/{pid}/fd"))


async def entered(forks: ForkServer, verb: str = "stat", **fields: object) -> dict[str, object]:
    pidfd = os.pidfd_open(os.getpid())
    try:
        async with process.started(forks, verb, {**HERE, "pidfd": pidfd}, **fields) as child:
            return await child.answer()
    finally:
        os.close(pidfd)


async def test_children_come_from_one_server(forks: ForkServer):
    first = await entered(forks, path="/usr")
    server = server_of(forks)
    found = await asyncio.gather(*(entered(forks, path="/usr") for _ in range(20)))
    assert found == [first] * 20
    assert server_of(forks) == server
    assert not children(server), "children are left"


async def test_an_exit_code_and_what_was_written(forks: ForkServer):
    errors = os.memfd_create("errors")
    try:
        child = await forks.fork("unpack", "/nonexistent", (None, None, errors))
        assert await child.wait() == 1
        assert os.pread(errors, 1 << 16, 0).splitlines()[-1].startswith(b"FileNotFoundError: ")
    finally:
        os.close(errors)


async def test_a_child_has_the_descriptors_it_was_given_and_no_others(forks: ForkServer):
    first, second = os.pipe()
    child = await forks.fork("unpack", "/tmp", (first, None, None), second)
    try:
        server = server_of(forks)
        eventually(lambda: children(server) and numbers(children(server)[0]) == ["0", "1", "2", "3", "4"])
        assert Path(f"/proc/{children(server)[0]}/environ").read_bytes() == b""
    finally:
        child.kill()
        os.close(first)
        os.close(second)
    assert await child.wait() == -signal.SIGKILL


async def test_a_request_may_be_long(forks: ForkServer):
    with pytest.raises(process.NoSuchFile):
        await entered(forks, path="/tmp/nothing", mounted=["/x" * 1000] * 2000)


async def test_a_killed_server_takes_its_children_with_it_and_is_replaced(forks: ForkServer):
    first, second = os.pipe()
    child = await forks.fork("unpack", "/tmp", (first, None, None))
    server = server_of(forks)
    os.kill(server, signal.SIGKILL)
    async with asyncio.timeout(10):
        assert await child.wait() == client.LOST
        assert "size" in json.dumps(await entered(forks, path="/usr"))
    assert server_of(forks) != server
    os.close(first)
    os.close(second)


async def test_a_server_without_work_ends(forks: ForkServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "IDLE", 0.01)
    await entered(forks, path="/usr")
    server = forks._server
    assert server
    await asyncio.sleep(0.02)  # the timer is the loop's
    assert server.poll() is not None
    await entered(forks, path="/usr")


async def test_nothing_stays_open(forks: ForkServer):
    await entered(forks, path="/usr")
    before = descriptors()
    for path in ("/tmp", "/nonexistent/file"):
        try:
            await entered(forks, path=path)
        except (process.NoSuchFile, InvalidArgument):
            continue
    await asyncio.sleep(0)
    assert descriptors() == before
