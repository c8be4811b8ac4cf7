"""A process that is asked for again and again, as a health check is: quicker, and in nothing different."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import credentials, seccomp
from pydock_runtime.known import Habit, Known

pytestmark = pytest.mark.root
Overlay = Callable[[], dict[str, object]]
STATE = """
grep -v -e ctxt_switches -e ^Vm -e ^Rss -e ^Pid -e ^PPid -e ^Tgid -e ^NSpid -e ^NStgid -e ^NSpgid -e ^NSsid -e ^Ngid \
    -e ^voluntary -e ^Hugetlb -e ^SigQ -e ^Cpus -e ^Mems -e ^State -e ^untag -e ^x86 /proc/self/status
cat /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj /proc/self/sched_policy 2>&1
for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done
grep -c . /proc/self/mountinfo; ls /proc/self/fd; env; id; pwd; umask; stat -c %u:%g /dev/stdout -L
mkdir /tmp/never
"""
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}


@contextlib.contextmanager
def container(overlay: dict[str, object] | None = None, root: Path | None = None) -> Iterator[box.Running]:
    wanted = box.spec("sleep", "100", root=root or Path("/"))
    with box.ready(wanted, overlay=overlay) as running:
        assert running.release() is None
        yield running


def usual(running: box.Running, known: Known, *args: str, **process: Any) -> None:
    """Run it often enough for all to be known that will be."""
    for _ in range(3):
        running.exec(*args, process=process, known=known)


@pytest.mark.parametrize(
    "process",
    [
        {},
        {"user": {"username": "web"}, "cwd": "/tmp", "env": ["PATH=/nowhere:/bin", "HOME=/x"]},
        {"user": {"username": "1000:audio", "groups": ["last"]}, "noNewPrivileges": True, "oomScoreAdj": 7},
        {"user": {"uid": 5, "gid": 6, "additionalGids": [7]}, "capabilities": {"bounding": ["CAP_CHOWN"]}},
        {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}], "user": {"umask": 0o27}},
        {"ioPriority": {"class": "IOPRIO_CLASS_IDLE"}, "scheduler": {"policy": "SCHED_BATCH", "nice": 5}},
    ],
)
def test_it_is_confined_as_the_first_one_is(root: Path, process: dict[str, Any]) -> None:
    known, program = Known(), seccomp.compile_profile(PROFILE)
    with container(root=root) as running:
        found = [running.exec("sh", "-c", STATE, process=process, program=program, known=known) for _ in range(4)]
        spec = {"args": ["sh", "-c", STATE], "env": ["PATH=/bin"], "cwd": "/", **process}
        assert known.habit(spec, program).again is not None
    assert found[0].error is None
    assert "mkdir: can't create directory '/tmp/never': Operation not permitted" in found[0].lines
    assert [result.lines for result in found[1:]] == [found[0].lines] * 3


def test_who_the_user_is_is_what_the_files_say_now(overlay: Overlay) -> None:
    known, process = Known(), {"user": {"username": "web"}}
    with container(overlay()) as running:
        usual(running, known, "id", "-u", **process)
        running.exec("sed", "-i", "s/^web:x:1000:/web:x:1234:/", "/etc/passwd")
        again = running.exec("id", "-u", process=process, known=known)
        running.exec("sed", "-i", "/^web/d", "/etc/passwd")
        gone = running.exec("id", "-u", process=process, known=known)
    assert again.lines == ["1234"]
    assert gone.error == {
        "kind": "invalid",
        "message": "unable to find user web: no matching entries in passwd file",
    }


def test_the_program_is_the_one_that_is_found_now(overlay: Overlay) -> None:
    known, process = Known(), {"env": ["PATH=/first:/second:/bin"]}
    with container(overlay()) as running:
        script = "mkdir /first /second; printf '#!/bin/sh\\necho second' > /second/probe; chmod +x /second/probe"
        assert running.exec("sh", "-c", script).code == 0
        usual(running, known, "probe", **process)
        assert running.exec("probe", process=process, known=known).lines == ["second"]
        running.exec("sh", "-c", "printf '#!/bin/sh\\necho first' > /first/probe; chmod +x /first/probe")
        assert running.exec("probe", process=process, known=known).lines == ["first"]
        running.exec("rm", "/first/probe", "/second/probe")
        gone = running.exec("probe", process=process, known=known)
    assert gone.error == {"kind": "exec-not-found", "message": 'exec: "probe": executable file not found in $PATH'}


def test_a_program_that_its_user_may_not_run_is_told(overlay: Overlay) -> None:
    known, process = Known(), {"user": {"username": "web"}}
    with container(overlay()) as running:
        running.exec("sh", "-c", "cp /bin/busybox /bin/probe; chmod 700 /bin/probe")
        found = [running.exec("/bin/probe", "true", process=process, known=known) for _ in range(4)]
    assert [result.error for result in found] == [
        {"kind": "exec-denied", "message": 'exec: "/bin/probe": permission denied'}
    ] * 4


def test_a_working_directory_that_goes_is_told(overlay: Overlay) -> None:
    known, process = Known(), {"cwd": "/work"}
    with container(overlay()) as running:
        running.exec("mkdir", "/work")
        usual(running, known, "true", **process)
        running.exec("rmdir", "/work")
        gone = running.exec("true", process=process, known=known)
    message = 'chdir to cwd ("/work") set in config.json failed: no such file or directory'
    assert gone.error == {"kind": "exec-denied", "message": message}


def test_files_that_are_pipes_or_large_or_missing_keep_nobody_waiting(overlay: Overlay) -> None:
    known = Known()
    with container(overlay()) as running:
        usual(running, known, "echo", "here")
        for change in ("rm /etc/passwd; mkfifo /etc/passwd", "rm /etc/passwd", "yes : | head -c 9000 > /etc/passwd"):
            assert running.exec("sh", "-c", change).code == 0
            assert [running.exec("echo", "here", known=known).lines for _ in range(4)] == [["here"]] * 4


@pytest.mark.parametrize("path", ["/elsewhere/true", "true", ""])
def test_a_place_where_the_program_cannot_have_been_found_is_not_believed(path: str) -> None:
    habit = Habit(credentials.Process({"args": ["true"], "env": ["PATH=/bin"]}, None))
    habit.learn({"users": ["root:x:0:0::/root:/bin/sh\n", ""], "path": "/bin/true"})
    assert habit.again is not None
    habit.learn({"users": ["", ""], "path": path})
    assert habit.again is None


def test_what_another_process_tells_late_is_not_taken_for_this_one_s() -> None:
    known = Known()
    first = known.habit({"args": ["true"]}, None)
    second = known.habit({"args": ["false"]}, None)
    first.learn({"users": ["", ""], "path": "/bin/true"})
    assert second.again is None
    assert known.habit({"args": ["false"]}, None) is second
