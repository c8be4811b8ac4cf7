"""Frames and the descriptors that go along."""

import os
import re
import socket
from pathlib import Path

import pytest

from pydock_runtime.supervisor import protocol, service


def test_frames_come_out_as_they_went_in_however_they_are_cut() -> None:
    messages = [{"id": number, "text": "é" * number} for number in range(50)]
    data = b"".join(map(protocol.encode, messages))
    for size in (1, 3, 7, 1000, len(data)):
        decoder = protocol.Decoder()
        found = [m for at in range(0, len(data), size) for m, _ in decoder.feed(data[at : at + size], [])]
        assert found == messages


def test_descriptors_belong_to_the_frame_that_counts_them() -> None:
    ours, theirs = socket.socketpair()
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
    with ours, theirs:
        protocol.transmit(ours, protocol.encode({"n": 1}))
        protocol.transmit(ours, protocol.encode({"n": 2, "fds": 2}), fds)
        protocol.transmit(ours, protocol.encode({"n": 3}))
        decoder, found = protocol.Decoder(), []
        while len(found) < 3:
            found += decoder.feed(*protocol.receive(theirs))
        assert [(message["n"], len(passed)) for message, passed in found] == [(1, 0), (2, 2), (3, 0)]
        assert not any(map(os.get_inheritable, found[1][1]))
        for fd in (*fds, *found[1][1]):
            os.close(fd)


def test_descriptors_of_a_frame_that_never_ends_are_closed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    decoder = protocol.Decoder()
    assert decoder.feed(protocol.encode({"fds": 1})[:-1], [os.open("/dev/null", os.O_RDONLY)]) == []
    decoder.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1x", b"\0\0\0\x0a" + b'{"fds": 1}'])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.Decoder().feed(data, [])


def test_the_documentation_has_every_operation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "supervisor.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall("`(.*?)`", row)]
    assert sorted(told) == sorted([*service.OPERATIONS, "exit", "oom", "detach", "hold"])
