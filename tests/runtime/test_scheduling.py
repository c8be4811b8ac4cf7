"""Scheduler, I/O priority, CPUs of an exec, personality: seen from inside."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import scheduling
from pydock_runtime.errors import RuntimeFailure

pytestmark = pytest.mark.root
STAT = "cut -d ' ' -f 19,41 /proc/self/stat"  # nice, policy


def with_process(root: Path, shell: str, **fields: Any) -> box.Spec:
    wanted = box.spec(root=root, shell=shell)
    wanted["process"] |= fields
    return wanted


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ({"policy": "SCHED_BATCH", "nice": 7}, "7 3"),
        ({"policy": "SCHED_IDLE"}, "0 5"),
        ({"policy": "SCHED_OTHER", "nice": 19}, "19 0"),
    ],
)
def test_the_scheduler_is_the_one_asked_for(root: Path, scheduler: dict[str, Any], expected: str) -> None:
    assert box.run(with_process(root, STAT, scheduler=scheduler)).lines == [expected]


def test_io_priority(root: Path) -> None:
    wanted = with_process(root, "ionice -p $$", ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 6})
    assert box.run(wanted).lines == ["best-effort: prio 6"]


def test_a_personality_of_32_bits(root: Path) -> None:
    wanted = box.spec("uname", "-m", root=root)
    wanted["linux"]["personality"] = {"domain": "LINUX32"}
    assert box.run(wanted).lines == ["i686" if os.uname().machine == "x86_64" else os.uname().machine]


def test_an_exec_runs_on_its_cpus(root: Path) -> None:
    with box.ready(box.spec("sleep", "100", root=root)) as running:
        running.release()
        allowed = ("grep", "Cpus_allowed_list", "/proc/self/status")
        result = running.exec(*allowed, process={"execCPUAffinity": {"initial": "0", "final": "0"}})
        assert result.out.split() == ["Cpus_allowed_list:", "0"]
        assert running.exec(*allowed).out.split()[1] != "0" or os.cpu_count() == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scheduler": {"policy": "SCHED_FAST"}}, "scheduler policy 'SCHED_FAST' is not one"),
        ({"scheduler": {"policy": "SCHED_OTHER", "flags": ["X"]}}, "scheduler flag 'X' is not one"),
        ({"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}, "scheduler nice 20 is not between -20 and 19"),
        ({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}, "ioPriority 8 is not between 0 and 7"),
        ({"ioPriority": {"class": "X"}}, "ioPriority class 'X' is not one"),
        ({"execCPUAffinity": {"initial": "1-"}}, "execCPUAffinity.initial '1-' is not a list of CPUs"),
    ],
)
def test_what_there_is_not_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        scheduling.Scheduling(fields)


def test_what_the_kernel_does_not_take_is_said(root: Path) -> None:
    error = box.run(with_process(root, "true", scheduler={"policy": "SCHED_FIFO", "priority": 100})).error
    assert error is not None
    assert error["message"] == "error setting scheduler: invalid argument"
