"""Processes that are asked for again and again, as health checks are: by the forker, and in nothing different."""

import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.runtime.supervisor.house import House, Refused, process
from tests.runtime.test_known import STATE

from pydock_runtime import forker as forking
from pydock_runtime import launch, sync
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.supervisor import forks
from pydock_runtime.supervisor.logs import Log
from pydock_runtime.supervisor.poller import Poller
from pydock_runtime.supervisor.processes import Process
from pydock_runtime.supervisor.stdio import Stdio

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
    """How many descriptors lead into containers, beside its standard ones, its channel and its own namespace."""
    return len(os.listdir(f"/proc/{forker}/fd")) - 5


def eventually(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


class Asking:
    """Asks for one process of a container, and returns its exit code and output."""

    def __init__(self, house: House, name: str, *args: str, **more: Any) -> None:
        self._house = house
        self._number = 0
        self._asked = {"container": name, "process": {**process(args), "oomScoreAdj": 3, **more}, "capture": 4000}
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
        eventually(lambda: self() == self.first and ways(forker) > 0)
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


def write(house: House, name: str, script: str) -> None:
    """Change something inside, by a process that is none of those asked for again and again."""
    house.client.request("exec", container=name, exec=script, process=process(["sh", "-c", script]), capture=99)
    assert house.client.event("exit", name, script)["code"] == 0


def zombies(house: House) -> list[str]:
    """The children of the supervisor that have ended and that nobody has waited for."""
    children = Path(f"/proc/{house.pid}/task/{house.pid}/children").read_text().split()
    return [child for child in children if "Z (zombie)" in Path(f"/proc/{child}/status").read_text()]


def test_who_it_runs_as_is_what_the_files_say_now(house: House) -> None:
    house.rootfs.chmod(0o755)
    name = house.run("sleep", "60", mounts=[{"destination": "/etc", "type": "tmpfs", "source": "tmpfs"}])
    write(house, name, "echo web:x:7:8::/:/bin/sh > /etc/passwd")
    asking = Asking(house, name, "sh", "-c", "id -u; stat -Lc %u /dev/stdout", user={"username": "web"})
    assert asking.first == (0, "7\n7\n")
    forker = asking.until_there_is_a_forker()
    write(house, name, "echo web:x:9:8::/:/bin/sh > /etc/passwd")
    assert [asking() for _ in range(4)] == [(0, "9\n9\n")] * 4
    assert ways(forker)  # which has learnt it
    write(house, name, "echo > /etc/passwd")
    with pytest.raises(Refused, match="unable to find user web: no matching entries in passwd file"):
        asking()
    eventually(lambda: zombies(house) == [])


class Owner:
    """Notes what a process tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        return lambda process: self.told.append(name)


def stale() -> launch.Child:
    """A child that has found things changed, and has ended."""
    ours, theirs = sync.pair()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    with theirs:
        theirs.send(forking.STALE)
    child = launch.Child(pid, os.pidfd_open(pid), ours, cast(Any, None))
    select.select([child.pidfd], [], [], 10)
    return child


@pytest.mark.parametrize("killed", [False, True])
def test_one_that_was_killed_is_not_begun_again(killed: bool) -> None:
    poller, owner, asked = Poller(), Owner(), []
    child = stale()

    def refuse() -> launch.Child:
        asked.append(child)
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
        os.close(child.pidfd)
        raise RuntimeFailure("asked for")

    child.instead = refuse
    nothing: dict[str, Any] = {"on_detach": lambda: None, "on_clients": lambda: None}
    stdio = Stdio(poller, Log(), tty=False, close_stdin=True, **nothing)
    process = Process(poller, cast(Any, owner), "e", stdio, stdin=False)
    process.begin(child)
    if killed:
        process.send_signal(signal.SIGKILL)
    process._on_dead(0)
    assert (len(asked), owner.told) == (int(not killed), ["failed"])
    assert process.failure == ("system", "killed before it ran the program" if killed else "asked for")
    poller.close()


def test_the_program_is_what_is_there_now(house: House) -> None:
    name = house.run("sleep", "60", mounts=[{"destination": "/own", "type": "tmpfs", "source": "tmpfs"}])
    write(house, name, "ln -s /bin/busybox /own/echo")
    asking = Asking(house, name, "echo", "x", env=["PATH=/own:/bin"], rlimits=[{"type": "RLIMIT_CORE"}])
    asking.until_there_is_a_forker()
    write(house, name, "rm /own/echo; cp /bin/plain /own/echo; chmod 755 /own/echo")
    for _ in range(3):
        with pytest.raises(Refused, match="exec /own/echo: exec format error") as refused:
            asking()
        assert refused.value.kind == "exec-denied"
    write(house, name, "rm /own/echo")
    assert [asking() for _ in range(4)] == [(0, "x\n")] * 4
    eventually(lambda: zombies(house) == [])


def test_of_more_than_there_are_descriptors_for_the_rest_is_made_as_before(house: House) -> None:
    asking = [Asking(house, house.run("sleep", "60"), "echo", str(number)) for number in range(3)]
    forker = asking[0].until_there_is_a_forker()
    resource.prlimit(forker, resource.RLIMIT_NOFILE, (forking.place(1), forking.place(1)))
    for _ in range(5):
        assert [one() for one in asking] == [(0, "0\n"), (0, "1\n"), (0, "2\n")]
    assert forkers(house) == [forker]
    assert ways(forker) < forking.WIDTH


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
