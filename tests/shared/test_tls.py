"""A relay between TLS and a plain socket: whole, in both directions, each of which ends by itself."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.fixtures.certificates import Authority

from pydock_shared.tls import Encrypted, relay


class Chain(NamedTuple):
    """`near` is a plain socket, whose bytes go by TLS to `far`, another."""

    near: socket.socket
    far: socket.socket
    threads: list[threading.Thread]


def served(outer: Encrypted, inner: socket.socket) -> None:
    outer.handshake()
    relay(outer, inner)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    authority = Authority()
    authority.issue("server").write(tmp_path / "cert", tmp_path / "key")
    (tmp_path / "ca").write_bytes(authority.certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    client = ssl.create_default_context(cafile=tmp_path / "ca")
    here, there = socket.socketpair()
    near, inner = socket.socketpair()
    far, other = socket.socketpair()
    threads = [
        threading.Thread(target=served, args=(Encrypted(there, server), other)),
        threading.Thread(target=served, args=(Encrypted(here, client, "localhost"), inner)),
    ]
    for thread in threads:
        thread.start()
    with near, far:
        near.settimeout(20)
        far.settimeout(20)
        yield Chain(near, far, threads)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def everything(source: socket.socket) -> bytes:
    pieces = []
    while piece := source.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def test_much_in_both_directions(chain: Chain):
    data = bytes(range(256)) * 16384

    def send(end: socket.socket) -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    senders = [threading.Thread(target=send, args=(end,)) for end in (chain.near, chain.far)]
    for sender in senders:
        sender.start()
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(everything(chain.near)))
    reader.start()
    assert everything(chain.far) == data
    for thread in (*senders, reader):
        thread.join(20)
    assert received == [data]


def test_one_direction_ends_before_the_other(chain: Chain):
    chain.near.sendall(b"question")
    chain.near.shutdown(socket.SHUT_WR)
    assert everything(chain.far) == b"question"
    chain.far.sendall(b"answer")
    assert chain.near.recv(100) == b"answer"
    chain.far.sendall(b", and more")
    chain.far.close()
    assert everything(chain.near) == b", and more"


def test_an_end_that_goes_takes_the_other_with_it(chain: Chain):
    chain.far.sendall(b"last")
    chain.far.close()
    assert everything(chain.near) == b"last"
    chain.near.close()
