"""Frames of the multiplexed stream, in pieces of any size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared.errors import PydockError
from pydock_shared.framing import STDERR, STDOUT, Demuxer, frame


def test_the_header_is_the_one_of_the_reference() -> None:
    assert frame(STDERR, b"hello") == b"\x02\0\0\0\0\0\0\x05hello"
    assert frame(STDOUT, b"") == b"\x01\0\0\0\0\0\0\0"


def test_pieces_come_as_soon_as_their_bytes_do() -> None:
    demuxer = Demuxer()
    data = frame(STDOUT, b"abcdef")
    assert demuxer.feed(data[:10]) == [(STDOUT, b"ab")]
    assert not demuxer.complete
    assert demuxer.feed(data[10:] + frame(STDERR, b"x")) == [(STDOUT, b"cdef"), (STDERR, b"x")]
    assert demuxer.complete
    assert demuxer.feed(data[:3]) == []
    assert not demuxer.complete


def test_what_is_no_such_stream_is_said_so() -> None:
    with pytest.raises(PydockError, match="unrecognized input header: 72"):
        Demuxer().feed(b"HTTP/1.1 200 OK\r\n")


FRAMES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=20)), max_size=8)


@given(FRAMES, st.lists(st.integers(1, 12), min_size=1, max_size=20))
def test_any_cutting_gives_the_same_streams(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    demuxer, pieces, at = Demuxer(), [], 0
    for step in range(len(data)):
        if at >= len(data):
            break
        size = sizes[step % len(sizes)]
        pieces += demuxer.feed(data[at : at + size])
        at += size
    assert demuxer.complete
    for stream in (STDOUT, STDERR):
        assert b"".join(p for s, p in pieces if s == stream) == b"".join(p for s, p in frames if s == stream)
