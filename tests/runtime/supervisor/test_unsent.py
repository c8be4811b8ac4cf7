"""What a client was not sent yet, and who goes on with it."""

import os
import random
import resource
import socket
from collections.abc import Iterator

import pytest

from pydock_runtime.supervisor import unsent as module
from pydock_runtime.supervisor.unsent import Unsent


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def read(sock: socket.socket, most: int) -> bytes:
    return sock.recv(most, socket.MSG_DONTWAIT)


def test_whoever_goes_on_sends_each_byte_once(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    chance = random.Random(1)
    unsent, put, got = Unsent(), bytearray(), bytearray()
    while len(put) < 20_000_000:
        pieces = [chance.randbytes(chance.choice((0, 1, 8, 30_000))) for _ in range(3)]
        unsent.put(pieces)
        put += b"".join(pieces)
        while len(unsent) > chance.choice((0, 100_000)):
            try:
                unsent.send(ours.fileno(), 1 << 18)
            except BlockingIOError:
                got += read(theirs, chance.choice((1, 200_000)))
            if chance.random() < 0.1:  # this one is killed, and another one goes on with a duplicate
                file = os.dup(unsent.file)
                unsent.close()
                unsent = Unsent(file)
    unsent.put([b"the end"])
    while not got.endswith(b"the end"):
        if unsent:
            unsent.send(ours.fileno(), 1 << 18)
        got += read(theirs, 1 << 20)
    assert got == put + b"the end"
    unsent.close()


def test_what_is_put_in_halfway_does_not_count(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    unsent = Unsent()
    unsent.put([b"one"])
    os.pwrite(unsent.file, b"tw", module.HEAD + 3)  # killed before the end was written down
    after = Unsent(unsent.file)
    after.put([b"three"])
    after.send(ours.fileno(), 100)
    assert (read(theirs, 100), len(after)) == (b"onethree", 0)
    os.pwrite(after.file, b"four", module.HEAD)
    assert len(Unsent(after.file)) == 0
    after.close()


def test_a_client_that_never_catches_up_costs_little(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    unsent, piece = Unsent(), b"x" * 500_000
    unsent.put([piece])
    for _ in range(100):
        unsent.put([piece])
        left = len(piece)
        while left:
            unsent.send(ours.fileno(), left)
            left -= len(read(theirs, 1 << 20))
    status = os.stat(unsent.file)
    assert status.st_size > 100 * len(piece) > 2 * status.st_blocks * 512
    unsent.close()


def test_a_file_that_takes_no_more_is_told() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    unsent = Unsent()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="half"):
            unsent.put([b"x" * 2000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(unsent) == 0
    unsent.close()
