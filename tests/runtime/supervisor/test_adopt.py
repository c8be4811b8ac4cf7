"""What a new supervisor knows of the containers of one that was killed."""

import os
import platform
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runtime.supervisor.house import House, Refused, process, wait_until

pytestmark = pytest.mark.root

UNKNOWN = 255
STAYS = "trap 'exit 9' TERM; while :; do sleep 0.01; done"
TELLS_EXIT_CODES = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


@pytest.fixture
def house(tmp_path: Path, rootfs: Path) -> Iterator[House]:
    house = House(tmp_path, rootfs)
    yield house
    assert "Traceback" not in house.diary()
    house.close()


def started(house: House, *args: str) -> tuple[str, int]:
    """Run a container and wait until its record is on disk."""
    name = house.run(*args)
    wait_until(lambda: (house.exec_root / "containers" / name / "state.json").exists())
    return name, house.client.request("hello")["containers"][-1]["pid"]


def test_a_running_container_is_adopted(house: House) -> None:
    name, pid = started(house, "sh", "-c", STAYS)
    house.kill()
    house.boot()
    line = house.client.request("hello")["containers"][0]
    assert (line["container"], line["pid"], line["status"]) == (name, pid, "running")
    house.client.request("pause", container=name)
    house.client.request("resume", container=name)
    house.client.request("exec", container=name, exec="e", process=process(["sh", "-c", "exit 3"]))
    assert house.client.event("exit", name, "e")["code"] == 3
    house.client.request("signal", container=name, signal=15)
    assert house.exit(name)["code"] == (9 if TELLS_EXIT_CODES else UNKNOWN)


def test_an_adopted_container_can_be_deleted(house: House) -> None:
    name, pid = started(house, "sleep", "100")
    house.kill()
    house.boot()
    with pytest.raises(Refused, match="is running"):
        house.client.request("delete", container=name)
    house.client.request("delete", container=name, force=True)
    assert house.client.request("hello")["containers"] == []
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


def test_a_supervisor_with_nobody_to_serve_leaves(house: House) -> None:
    name = house.run("sleep", "2.5")
    pidfd = os.pidfd_open(house.pid)
    house.client.close()
    assert select.select([pidfd], [], [], 2.2)[0] == []  # a container lives
    client = house.connect()
    assert client.event("exit", name)["code"] == 0
    client.request("delete", container=name)
    client.close()
    assert select.select([pidfd], [], [], 5)[0] == [pidfd]
    os.close(pidfd)
    house.boot()


def test_ends_that_nobody_saw_and_ends_on_record(house: House) -> None:
    seen = house.run("sh", "-c", "exit 5")
    house.exit(seen)
    unseen, pid = started(house, "sleep", "100")
    house.kill()
    os.kill(pid, 9)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    house.boot()
    wait_until(lambda: all(line["status"] == "exited" for line in house.client.request("hello")["containers"]))
    listed = {line["container"]: line["code"] for line in house.client.request("hello")["containers"]}
    assert listed == {seen: 5, unseen: UNKNOWN}
