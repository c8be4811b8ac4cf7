"""The end of a pipe that is open for as long as nobody opens its envelope."""

import os
import socket

import pytest

from pydock_runtime.supervisor import envelope


def test_it_is_open_until_anybody_opens_the_envelope() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    sealed = envelope.seal(writer)
    os.close(writer)
    held = socket.socket(fileno=os.dup(sealed.fileno()))  # as pydockd does
    for _ in range(2):
        again = envelope.look(held)
        os.write(again, b"x")
        os.close(again)
        assert os.read(reader, 10) == b"x"
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    envelope.unseal(sealed)
    assert os.read(reader, 1) == b""
    assert envelope.look(held) == -1
    envelope.unseal(held)
    os.close(reader)
