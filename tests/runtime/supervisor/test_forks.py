"""Processes that are asked for again and again, as health checks are: by the forker, and in nothing different."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.supervisor.house import House, Refused, process
from tests.runtime.test_known import STATE

from pydock_runtime.supervisor import forks

pytestmark = pytest.mark.root
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}


def forkers(house: House) -> list[int]:
    """The forker, if there is one; what it forks is soon another program."""
    children = Path(f"/proc/{house.pid}/task/{house.pid}/children").read_text().split()
    mine = []
    for child in children:
        try:
            if b"pydock_runtime.forker" in Path(f"/proc/{child}/cmdline").read_bytes():
                mine.append(int(child))
        except FileNotFoundError:
            continue
    return mine


def ways(forker: int) -> int:
    """How many descriptors lead into containers, beside its standard ones and its channel."""
    return len(os.listdir(f"/proc/{forker}/fd")) - 4


def eventually(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


class Asking:
    """Asks for one process of a container, and returns its exit code and output."""

    def __init__(self, house: House, name: str, *args: str) -> None:
        self._house = house
        self._number = 0
        self._asked = {"container": name, "process": {**process(args), "oomScoreAdj": 3}, "capture": 4000}
        house.client.request("exec", exec="first", **self._asked, seccomp={"digest": "p", "profile": PROFILE})
        self.first = self._end("first")

    def _end(self, exec: str) -> tuple[int, str]:
        event = self._house.client.event("exit", self._asked["container"], exec)
        return event["code"], event["output"]

    def __call__(self) -> tuple[int, str]:
        self._number += 1
        name = f"e{self._number}"
        self._house.client.request("exec", exec=name, **self._asked, seccomp={"digest": "p"})
        return self._end(name)

    def until_there_is_a_forker(self) -> int:
        for _ in range(forks.MANY):
            assert self() == self.first
        [forker] = eventually(lambda: forkers(self._house))
        eventually(lambda: self() == self.first and ways(forker))
        for _ in range(3):
            assert self() == self.first
        return int(forker)


def test_there_is_one_for_many_and_its_children_are_confined_as_others(house: House) -> None:
    name = house.run("sleep", "60")
    asking = Asking(house, name, "sh", "-c", STATE + "exit 5")
    assert asking.first[0] == 5
    assert "mkdir: can't create directory '/tmp/never': Operation not permitted" in asking.first[1]
    forker = asking.until_there_is_a_forker()
    house.client.request("delete", container=name, force=True)
    eventually(lambda: ways(forker) == 0)  # nothing of a container is held that has gone


def test_what_cannot_be_run_is_told_and_another_process_goes_its_own_way(house: House) -> None:
    name = house.run("sleep", "60")
    Asking(house, name, "true").until_there_is_a_forker()
    for number in range(4):
        wanted = process(["nothing"])
        with pytest.raises(Refused, match="executable file not found") as refused:
            house.client.request("exec", container=name, exec=f"n{number}", process=wanted, capture=9)
        assert refused.value.kind == "exec-not-found"
        house.client.request("exec", container=name, exec=f"o{number}", process=process(["echo", "x"]), capture=9)
        assert house.client.event("exit", name, f"o{number}")["output"] == "x\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_forker_that_dies_or_hangs_is_replaced(
    house: House, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking(house, house.run("sleep", "60"), "echo", "here")
    before = asking.until_there_is_a_forker()
    os.kill(before, number)
    assert [asking() for _ in range(3)] == [(0, "here\n")] * 3
    eventually(lambda: before not in forkers(house))
    assert asking.until_there_is_a_forker() != before
