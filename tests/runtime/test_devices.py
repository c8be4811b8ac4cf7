"""/dev of a container, and what its cgroup lets it use."""

import os
from pathlib import Path

import pytest
from tests.runtime import box

pytestmark = pytest.mark.root


def test_the_default_devices_and_links_are_there(root: Path) -> None:
    script = "cd /dev; for n in null zero full random urandom tty; do stat -c '%n %t:%T %a' $n; done; "
    script += "for n in fd ptmx stderr; do readlink $n; done"
    assert box.run(box.spec(root=root, shell=script)).lines == [
        "null 1:3 666",
        "zero 1:5 666",
        "full 1:7 666",
        "random 1:8 666",
        "urandom 1:9 666",
        "tty 5:0 666",
        "/proc/self/fd",
        "pts/ptmx",
        "/proc/self/fd/2",
    ]


def test_a_device_of_the_spec_has_its_mode_and_owner(root: Path) -> None:
    wanted = box.spec(root=root, shell="stat -c '%t:%T %a %u:%g' /dev/sub/kmsg")
    wanted["linux"]["devices"] = [
        {"path": "/dev/sub/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 7, "gid": 8}
    ]
    assert box.run(wanted).out == "1:b 640 7:8\n"


def test_an_unknown_type_is_named(root: Path) -> None:
    wanted = box.spec("true", root=root)
    wanted["linux"]["devices"] = [{"path": "/dev/x", "type": "z"}]
    error = box.run(wanted).error
    assert error == {"kind": "invalid", "message": "device /dev/x: unknown type 'z'"}


def test_what_was_not_allowed_may_be_made_but_not_used(root: Path) -> None:
    script = (
        "mknod /dev/mem0 c 1 1; cat /dev/mem0 > /dev/null; head -c 1 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c"
    )
    assert box.run(box.spec(root=root, shell=script)).lines == [
        "cat: can't open '/dev/mem0': Operation not permitted",
        "1",
        "1",
    ]


def test_with_everything_allowed_nothing_is_refused(root: Path) -> None:
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this kernel has no loop devices")
    number = os.stat("/dev/loop-control").st_rdev
    script = f"mknod /dev/k c {os.major(number)} {os.minor(number)}; exec 3<> /dev/k && echo both"
    result = box.run(box.spec(root=root, shell=script), resources={"devices": [{"allow": True, "access": "rwm"}]})
    assert result.lines == ["both"]


def test_what_was_allowed_may_be_used(root: Path) -> None:
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this kernel has no loop devices")
    number = os.stat("/dev/loop-control").st_rdev
    rule = {"allow": True, "type": "c", "major": os.major(number), "minor": os.minor(number), "access": "r"}
    rules = [{"allow": False, "access": "rwm"}, rule]
    script = (
        f"mknod /dev/k c {rule['major']} {rule['minor']}; exec 3< /dev/k && echo read; exec 4> /dev/k && echo write"
    )
    wanted = box.spec(root=root, shell=script)
    assert box.run(wanted, resources={"devices": rules}).lines == [
        "read",
        "sh: can't create /dev/k: Operation not permitted",
    ]
