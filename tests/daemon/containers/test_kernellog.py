"""Whom the kernel's log names as a victim, and whose words are not the kernel's."""

import pytest

from pydock_daemon.containers import kernellog

ID = "1446038cadeb"
LINE = (
    b"6,178432,34006471093,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=%(id)s,mems_allowed=0,"
    b"oom_memcg=/pydock/%(id)s,task_memcg=/pydock/%(memcg)s,task=%(task)s,pid=7343,uid=0\n"
)


def line(memcg: str = ID, task: str = "tail") -> bytes:
    return LINE % {b"id": ID.encode(), b"memcg": memcg.encode(), b"task": task.encode()}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (line(), "tail"),
        (line(memcg=f"{ID}/nested"), "tail"),
        (line(task="a,pid=1,uid=0"), "a,pid=1,uid=0"),
        (line(task=r"\x1b[31m"), r"\x1b[31m"),
        (line() + b" SUBSYSTEM=x\n", "tail"),
        (line(memcg="another"), None),
        (line().replace(b"6,", b"12,", 1), None),
        (b"3,178433,1,-;Memory cgroup out of memory: Killed process 7343 (tail) total-vm:18032kB\n", None),
        (b"", None),
    ],
)
def test_a_record(record: bytes, name: str | None) -> None:
    assert kernellog.victim(record, ID) == (name and (178432, name))


@pytest.mark.root
def test_the_log_of_this_host_can_be_read() -> None:
    assert kernellog.victims("no-such-container", 0) == []
