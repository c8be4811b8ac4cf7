"""Profiles, compiled and then tried on a process."""

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from pydock_runtime import linux, seccomp
from pydock_runtime.errors import RuntimeFailure

ALLOW, REFUSE = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
libc = ctypes.CDLL(None, use_errno=True)


def under(profile: dict[str, Any], action: Callable[[], Any]) -> int:
    """The errno of an action under a profile, 0 when it succeeds."""
    program = seccomp.compile_profile(profile)
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            linux.prctl(38, 1)
            linux.load_seccomp(program)
            action()
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dup_of(fd: int) -> Callable[[], None]:
    """dup3(fd, 9, 0): a system call with arguments to compare."""

    def call() -> None:
        ctypes.set_errno(0)
        if libc.dup3(fd, 9, 0) < 0:
            raise OSError(ctypes.get_errno(), "dup3")

    return call


def comparing(*arguments: dict[str, Any]) -> dict[str, Any]:
    """A profile that refuses dup3 with such arguments."""
    return {
        "defaultAction": ALLOW,
        "syscalls": [{"names": ["dup3"], "action": REFUSE, "errnoRet": errno.EDOM, "args": list(arguments)}],
    }


@pytest.mark.parametrize(
    ("operator", "value", "refused"),
    [
        ("SCMP_CMP_EQ", 1, [1]),
        ("SCMP_CMP_NE", 1, [0, 2]),
        ("SCMP_CMP_LT", 1, [0]),
        ("SCMP_CMP_LE", 1, [0, 1]),
        ("SCMP_CMP_GT", 1, [2]),
        ("SCMP_CMP_GE", 1, [1, 2]),
    ],
)
def test_an_argument_is_compared(operator: str, value: int, refused: list[int]) -> None:
    profile = comparing({"index": 0, "value": value, "op": operator})
    assert [fd for fd in (0, 1, 2) if under(profile, dup_of(fd)) == errno.EDOM] == refused


def test_bits_of_an_argument_are_compared() -> None:
    profile = comparing({"index": 0, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"})
    assert [fd for fd in (0, 1, 2) if under(profile, dup_of(fd)) == errno.EDOM] == [1]


def test_conditions_on_one_argument_are_alternatives() -> None:
    profile = comparing({"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"})
    assert [fd for fd in (0, 1, 2) if under(profile, dup_of(fd)) == errno.EDOM] == [0, 2]


def test_conditions_on_several_arguments_hold_together() -> None:
    profile = comparing({"index": 0, "value": 1, "op": "SCMP_CMP_GE"}, {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"})
    assert [fd for fd in (0, 1, 2) if under(profile, dup_of(fd)) == errno.EDOM] == [1, 2]


def test_a_call_that_the_profile_does_not_allow_is_not_permitted() -> None:
    allowed = {"names": ["exit_group", "exit", "prctl", "read", "munmap", "futex"], "action": ALLOW}
    profile = {"defaultAction": REFUSE, "syscalls": [allowed, {"names": ["mount"], "action": ALLOW}]}
    assert under(profile, os.getcwd) == errno.EPERM
    assert under({**profile, "defaultErrnoRet": errno.EXDEV}, os.getcwd) == errno.EXDEV


def test_a_call_newer_than_the_profile_does_not_exist() -> None:
    old = [{"names": ["exit_group", "openat2"], "action": ALLOW}]
    assert under({"defaultAction": REFUSE, "syscalls": old}, lambda: linux.close_range(900, 901, 0)) == errno.EPERM

    # cachestat, 451
    def newer() -> None:
        if libc.syscall(451, 0, None, None, 0) < 0:
            raise OSError(ctypes.get_errno(), "cachestat")

    assert under({"defaultAction": REFUSE, "syscalls": old}, newer) == errno.ENOSYS
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 5):  # older kernels do not have it themselves
        assert under({"defaultAction": ALLOW, "syscalls": old}, newer) != errno.ENOSYS


def test_an_unknown_call_is_passed_over() -> None:
    rule = {"names": ["fly_to_the_moon", "dup3"], "action": REFUSE, "errnoRet": errno.EDOM}
    assert under({"defaultAction": ALLOW, "syscalls": [rule]}, dup_of(1)) == errno.EDOM


def test_further_architectures_are_covered() -> None:
    alone = seccomp.compile_profile({"defaultAction": REFUSE, "syscalls": [{"names": ["read"], "action": ALLOW}]})
    both = seccomp.compile_profile(
        {
            "defaultAction": REFUSE,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{"names": ["read"], "action": ALLOW}],
        }
    )
    assert len(both) > len(alone)
    assert len(both) % 8 == len(alone) % 8 == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "seccomp action SCMP_ACT_NOTIFY is not supported"),
        ({"flags": ["SECCOMP_FILTER_FLAG_TSYNC"]}, "seccomp flags and listenerPath are not supported"),
        ({"architectures": ["SCMP_ARCH_PDP11"]}, "unknown seccomp architecture SCMP_ARCH_PDP11"),
        (
            {
                "syscalls": [
                    {"names": ["dup3"], "action": REFUSE, "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_LIKE"}]}
                ]
            },
            "unknown seccomp operator SCMP_CMP_LIKE",
        ),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        seccomp.compile_profile({"defaultAction": ALLOW, "syscalls": [], **change})
