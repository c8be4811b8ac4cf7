"""Containers that make trouble for the one that holds them all: floods, deaf ones, ones that go into the background."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import House, wait_until

pytestmark = pytest.mark.root


def test_a_flood_of_output_holds_nobody_up(house: House) -> None:
    log = {"driver": "local", "path": str(house.log_path("flood")), "max_size": 1 << 20, "max_file": 2}
    flood = house.run("sh", "-c", "while :; do cat /bin/busybox; done", log=log)
    begun = time.monotonic()
    for _ in range(5):
        assert house.exit(house.run("true"))["code"] == 0
    assert time.monotonic() - begun < 5
    wait_until(lambda: _size(house.log_path("flood")))  # it is empty for a moment with each file that is full
    assert sum(map(_size, house.folder.glob("flood.log*"))) < 4 << 20
    house.client.request("delete", container=flood, force=True)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):  # it was rotated away this moment
        return path.stat().st_size
    return 0


def test_one_that_ignores_signals_is_killed(house: House) -> None:
    name = house.run("sh", "-c", "trap '' TERM INT HUP; while :; do sleep 0.1; done")
    for number in (15, 2, 1):
        house.client.request("signal", container=name, signal=number)
    assert house.client.request("hello")["containers"][0]["status"] == "running"
    house.client.request("signal", container=name, signal=9)
    assert house.exit(name)["code"] == 137


@pytest.mark.parametrize("namespaces", [("pid", "mount", "ipc", "uts"), ("mount", "ipc", "uts")])
def test_one_that_goes_into_the_background_ends_with_its_first_process(
    house: House, namespaces: tuple[str, ...]
) -> None:
    """With the host's pid namespace too, where nothing dies by itself, and with its output still open."""
    name = house.run("sh", "-c", "setsid sleep 4712 & echo begun", namespaces=namespaces)
    assert house.exit(name)["code"] == 0
    house.client.request("delete", container=name, force=True)
    wait_until(lambda: not house.cgroups())
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and command_of(pid) == b"sleep\x004712\x00"]


def command_of(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
