"""A container whose processes cannot all be frozen: it is waited for, and holds nobody up."""

import os
import signal
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import House, Refused, wait_until

from pydock_runtime import abi, linux

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no FUSE"),
]
INIT_ANSWER = struct.Struct("=IIIIHHIIHHI7I")  # struct fuse_init_out, version 7.31


@contextmanager
def unfrozen(house: House, place: Path) -> Iterator[int]:
    """A process in the container's cgroups that waits for a file system of ours, which does not answer; its end."""
    with ExitStack() as stack:
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            look(fuse, place)
        stack.callback(os.waitpid, pid, 0)
        stack.callback(os.kill, pid, signal.SIGKILL)
        stack.callback(os.close, fuse)
        wait_until(lambda: " - fuse" in Path(f"/proc/{pid}/mountinfo").read_text())
        first = os.read(fuse, 1 << 17)
        body = INIT_ANSWER.pack(7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, *[0] * 7)
        os.write(fuse, struct.pack("=IiQ", 16 + len(body), 0, struct.unpack_from("=IIQ", first)[2]) + body)
        os.read(fuse, 1 << 17)  # what it asks and gets no answer to
        for folder in house.cgroups():
            Path(folder, "cgroup.procs").write_text(str(pid))
        yield fuse


def look(fuse: int, place: Path) -> None:
    try:
        linux.unshare(abi.CLONE_NEWNS)
        linux.mount(None, "/", None, abi.MS_REC | abi.MS_PRIVATE)
        linux.mount("x", str(place), "fuse", 0, f"fd={fuse},rootmode=40000,user_id=0,group_id=0")
        os.close(fuse)
        while True:
            place.joinpath("file").exists()
            signal.pause()
    finally:
        os._exit(1)


def test_others_are_served_meanwhile_and_it_is_frozen_when_it_can_be(house: House, tmp_path: Path) -> None:
    name = house.run("sleep", "100")
    with unfrozen(house, tmp_path) as fuse:
        number = house.client.post("pause", container=name)
        assert house.client.request("hello")["containers"][0]["status"] == "running"
        with pytest.raises(Refused, match="already"):
            house.client.request("pause", container=name)
        with open(os.devnull, "rb") as null:
            os.dup2(null.fileno(), fuse)  # the end of the file system
        house.client.answer(number)
        assert house.client.request("hello")["containers"][0]["status"] == "paused"
        house.client.request("resume", container=name)
    house.client.request("delete", container=name, force=True)


def test_one_that_is_killed_meanwhile_is_not_paused(house: House, tmp_path: Path) -> None:
    name = house.run("sleep", "100")
    with unfrozen(house, tmp_path):
        number = house.client.post("pause", container=name)
        house.client.request("signal", container=name, signal=signal.SIGKILL)
        with pytest.raises(Refused, match="killed"):
            house.client.answer(number)
        assert house.exit(name)["code"] == 137
