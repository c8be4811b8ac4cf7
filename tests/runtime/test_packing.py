"""Steps that another process carries out, and do there what they would have done here."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from pydock_runtime import linux, packing, steps


def test_they_do_the_same_there(tmp_path: Path) -> None:
    written, read = tmp_path / "written", tmp_path / "read"
    read.write_bytes(b"this")
    first = [
        *steps.write_file(os.fsencode(written), b"x", tolerated=0),
        steps.call("mkdir", os.fsencode(tmp_path), 0o700, tolerated=errno.EEXIST),
    ]
    checks = steps.holds(os.fsencode(read), b"this")
    last = [steps.call("execve", b"/nowhere", linux.strings([b"a", b"b c"]), linux.strings([]))]
    written.touch()
    packed = packing.packed(first, checks, last)
    assert packed is not None
    for make in (lambda: (first, checks, last), lambda: packing.Unpacking().unpacked(packed)):
        found, asked, end = make()
        written.write_bytes(b"")
        steps.carry_out(found)
        assert written.read_bytes() == b"x"
        read.write_bytes(b"this")
        assert steps.all_hold(asked)
        read.write_bytes(b"that")
        assert not steps.all_hold(asked)
        with pytest.raises(FileNotFoundError):
            steps.carry_out(end)
        assert list(end[0][2][1]) == [b"a", b"b c", None]


def test_what_many_have_is_there_once_and_what_one_writes_to_is_its_own() -> None:
    unpacking = packing.Unpacking()
    found = [
        steps.call("prctl", 22, 2, linux.Filter(b"\6\0\0\0\0\0\xff\x7f")),
        steps.call("umask", 0o22),
        steps.call("getcwd", ctypes.create_string_buffer(b"/", 10), 10),
    ]
    packed = packing.packed(found, [], [])
    assert packed is not None
    one, two = (unpacking.unpacked(packed)[0] for _ in range(2))
    filter_ = one[0][2][2]
    assert two[0][2][2] is filter_
    assert (filter_[0].len, ctypes.string_at(filter_[0].filter, 8)) == (1, b"\6\0\0\0\0\0\xff\x7f")
    assert one[1] is two[1]
    assert one[2][2][0] is not two[2][2][0]
    assert bytes(one[2][2][0]) == bytes(two[2][2][0]) == b"/".ljust(10, b"\0")


def test_what_is_python_s_cannot_be_sent() -> None:
    assert packing.packed([steps.python(print)], [], []) is None
