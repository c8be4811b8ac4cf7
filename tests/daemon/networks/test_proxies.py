"""Processes for published ports that the rules cannot lead to a container."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.engine import eventually
from tests.fixtures.registry import free_port

from pydock_daemon.networks.model import Published
from pydock_daemon.networks.proxies import Proxies
from pydock_shared.errors import NotSupported

MARK = "pydock-test-proxies"


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    made = Proxies(MARK)
    yield made
    made.settle([])
    assert f"@{MARK} " not in Path("/proc/net/unix").read_text()


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server of UDP on 127.0.0.1 that sends back what comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def answer() -> None:
            while (found := sock.recvfrom(100))[0] != b"end":
                sock.sendto(*found)

        thread = threading.Thread(target=answer)
        thread.start()
        yield sock.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", sock.getsockname())
        thread.join()


def echoed(client: socket.socket, port: int, word: bytes) -> bool:
    client.sendto(word, ("::1", port))
    try:
        return client.recv(100) == word
    except OSError:
        return False


def test_datagrams_find_back(proxies: Proxies, server: int):
    port = free_port()
    published = Published("c", "udp", "::1", port, "127.0.0.1", server)
    assert published.by_process
    proxies.start([published])
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as two,
    ):
        for client in (one, two):
            client.settimeout(1)
        eventually(lambda: echoed(one, port, b"one"))
        assert echoed(two, port, b"two")
        assert echoed(one, port, b"one again")
        # What the next daemon does: it knows of none that was started before.
        Proxies(MARK).settle([published])
        assert echoed(one, port, b"still there")
        Proxies(MARK).settle([])
        assert not echoed(one, port, b"nobody")


def test_root_ends_one_by_its_name(proxies: Proxies, server: int):
    published = Published("c", "udp", "::1", free_port(), "127.0.0.1", server)
    proxies.start([published])
    name = proxies._name(published)
    before = Path("/proc/net/unix").read_text()
    assert f"@{name}\n" in before
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect("\0" + name)
        assert caller.recv(1) == b""
    eventually(lambda: f"@{name}\n" not in Path("/proc/net/unix").read_text())


def test_all_or_none(proxies: Proxies):
    port = free_port()
    first = Published("c", "tcp", "::1", port, "127.0.0.1", 80)
    with pytest.raises(OSError, match="in use"):
        proxies.start([first, replace(first, port=81)])
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        pass
    with pytest.raises(NotSupported, match="publishing of sctp on ::1 is not supported"):
        proxies.start([replace(first, proto="sctp")])
