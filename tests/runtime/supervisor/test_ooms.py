"""What the supervisor tells of the kernel's OOM killer: real containers that want more memory than they may have."""

import os

import pytest
from tests.runtime.supervisor.house import House, wait_until

from pydock_runtime.cgroup import layout

pytestmark = pytest.mark.root

MIB = 1 << 20
GREEDY = "tail /dev/zero"
needs_v1 = pytest.mark.skipif(not layout.of_host().hierarchies, reason="cgroup v2 cannot disable the OOM killer")


def run(house: House, script: str, **memory: object) -> str:
    """Run a script in 8 MB of memory."""
    name = house.create("sh", "-c", script)
    limits = {"limit": 8 * MIB, "swap": 8 * MIB, **memory}
    house.client.request("update", container=name, resources={"memory": limits})
    house.client.request("start", container=name, interfaces=[])
    return name


def line(house: House, name: str) -> dict:
    """What hello says of a container."""
    return next(entry for entry in house.client.request("hello")["containers"] if entry["container"] == name)


def test_a_victim_that_is_not_init_is_told_while_the_container_runs(house: House) -> None:
    name = run(house, f"sleep 0.2; {GREEDY}; sleep 0.5; {GREEDY}; sleep 100")
    assert house.client.event("oom", name)["kills"] == 1
    assert house.client.event("oom", name)["kills"] == 1
    assert (line(house, name)["status"], line(house, name)["oom"]) == ("running", True)
    house.client.request("signal", container=name, signal=9)
    assert house.exit(name)["oom"] is True
    assert [event for event in house.client.events if event["event"] == "oom"] == []


def test_an_init_that_is_the_victim_is_told_before_its_end(house: House) -> None:
    name = run(house, f"exec {GREEDY}")
    ended = house.exit(name)
    assert (ended["code"], ended["oom"]) == (128 + 9, True)
    assert [(event["event"], event["kills"]) for event in house.client.events] == [("oom", 1)]
    house.client.events.clear()


@needs_v1
def test_a_container_whose_killer_is_disabled_is_told_of_and_not_killed(house: House) -> None:
    # Memory that the program itself touches; a system call that touches it fails instead.
    name = run(house, "sleep 0.2; x=xxxxxxxx; while :; do x=$x$x; done", disableOOMKiller=True)
    assert house.client.event("oom", name)["kills"] == 0
    assert (line(house, name)["status"], line(house, name)["oom"]) == ("running", False)


def test_many_kills_are_told_together(house: House) -> None:
    name = run(house, f"sleep 0.2; for n in 1 2 3 4 5 6 7 8; do {GREEDY}; done; exit 3")
    assert house.exit(name)["oom"] is True
    told = [event["kills"] for event in house.client.events if event["event"] == "oom"]
    assert sum(told) == 8
    assert len(told) < 8
    house.client.events.clear()


def test_nothing_is_left_open(house: House) -> None:
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{house.pid}/fd"))

    before = descriptors()
    name = run(house, f"{GREEDY}; sleep 0.3; {GREEDY}; exit 3")
    assert house.exit(name)["code"] == 3
    house.client.request("delete", container=name)
    house.client.events.clear()
    wait_until(lambda: descriptors() == before)


def test_a_new_supervisor_goes_on(house: House) -> None:
    name = run(house, f"sleep 0.2; {GREEDY}; trap 'tail /dev/zero' TERM; while :; do sleep 0.02; done")
    house.client.event("oom", name)
    house.kill()
    house.boot()
    assert line(house, name)["oom"] is True
    house.client.request("signal", container=name, signal=15)
    assert house.client.event("oom", name)["kills"] == 1
