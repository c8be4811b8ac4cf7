"""The host, the world beyond it, containers and daemons of the tests of networks; see tests/fixtures/netns.py."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.netns import CLONE_NEWNET, HOST, WORLD, Box, Setting, ip

from pydock_runtime import linux
from pydock_runtime.netconf import configure


@pytest.fixture
def host() -> Iterator[None]:
    """The thread's namespace for this test: a host with forwarding off and no address but loopback."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    linux.unshare(CLONE_NEWNET)
    try:
        ip("link set lo up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        yield
    finally:
        linux.setns(before, CLONE_NEWNET)
        os.close(before)


@pytest.fixture
def make_box(host: None) -> Iterator[Callable[..., Box]]:
    """A factory of namespaces that end with the test."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "box") -> Box:
            box = Box(name)
            stack.callback(box.close)
            return box

        yield make


@pytest.fixture
def world(make_box: Callable[..., Box]) -> Box:
    """What is beyond the host: reachable from it, and without any route to the networks of containers."""
    box = make_box("world")
    ip(f"link add up0 type veth peer name eth0 netns {box.pid}")
    ip(f"address add {HOST}/24 dev up0")
    ip("link set up0 up")
    box.run(configure, [{"link": "eth0", "addresses": [f"{WORLD}/24"]}])
    return box


@pytest.fixture
async def setting(host: None, tmp_path: Path) -> AsyncIterator[Setting]:
    """A daemon's networks, its bridge with 10.199.1.1/24."""
    made = Setting(tmp_path / "first", bip="10.199.1.1/24")
    await made.networks.open()
    yield made
    await made.end()


@pytest.fixture
async def second(host: None, tmp_path: Path) -> AsyncIterator[Setting]:
    """Another daemon on the same host, its bridge with 10.199.2.1/24."""
    made = Setting(tmp_path / "second", bip="10.199.2.1/24")
    await made.networks.open()
    yield made
    await made.end()
