"""Profiles, compiled and then tried on a process."""

import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime import box

from pydock_runtime import launch, linux, seccomp
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


def asked(name: str) -> dict[str, Any]:
    """A rule that leaves a system call to a listener."""
    return {"names": [name], "action": "SCMP_ACT_NOTIFY"}


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
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY cannot be used as default action"),
        ({"defaultAction": "SCMP_ACT_DREAM"}, "seccomp action SCMP_ACT_DREAM is not supported"),
        ({"flags": ["SECCOMP_FILTER_FLAG_FAST"]}, "seccomp flag SECCOMP_FILTER_FLAG_FAST is not supported"),
        ({"syscalls": [asked("mkdir")]}, "listenerPath must be set for SCMP_ACT_NOTIFY"),
        ({"syscalls": [asked("write")], "listenerPath": "/x"}, "SCMP_ACT_NOTIFY cannot be used for the write syscall"),
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


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("SCMP_ACT_LOG", 0),
        ("SCMP_ACT_TRACE", errno.ENOSYS),
        ("SCMP_ACT_KILL_PROCESS", -signal.SIGSYS),
        ("SCMP_ACT_KILL_THREAD", -signal.SIGSYS),
        ("SCMP_ACT_TRAP", -signal.SIGSYS),
    ],
)
def test_actions(action: str, expected: int) -> None:
    profile = {"defaultAction": ALLOW, "syscalls": [{"names": ["dup3"], "action": action}]}
    assert under(profile, dup_of(0)) == expected


def test_a_flag_that_no_kernel_has_is_not_taken() -> None:
    assert seccomp.takes("SECCOMP_FILTER_FLAG_LOG")
    assert not linux.takes_seccomp_flags(1 << 30)


def test_flags_are_given_to_the_kernel() -> None:
    flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]
    program = seccomp.compile_profile({"defaultAction": ALLOW, "flags": flags})
    assert program.flags == 0b111
    assert seccomp.restored(program.saved()).flags == 0b111
    assert under({"defaultAction": ALLOW, "flags": flags}, lambda: None) == 0


def elf_of_32_bits(code: bytes) -> bytes:
    """A static program for i386: one page at 0x10000, code behind the headers."""
    at = 0x10000
    size = 52 + 32 + len(code)
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, at + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack("<IIIIIIII", 1, 0, at, at, size, size, 5, 0x1000) + code


@pytest.mark.root
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="a program for i386")
@pytest.mark.parametrize(
    ("architectures", "expected"),
    [(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], 13), (["SCMP_ARCH_X86_64"], 128 + signal.SIGSYS)],
)
def test_programs_of_32_bits(
    root: Path, tmp_path: Path, overlay: Callable[[], dict[str, Any]], architectures: list[str], expected: int
) -> None:
    """dup(0) is refused with EACCES (13), which becomes the exit code."""
    call, end = b"\xb8\x29\0\0\0\x31\xdb\xcd\x80", b"\x89\xc3\xf7\xdb\xb8\x01\0\0\0\xcd\x80"
    layers = overlay()
    (tmp_path / "upper/small").write_bytes(elf_of_32_bits(call + end))
    (tmp_path / "upper/small").chmod(0o755)
    rule = {"names": ["dup"], "action": REFUSE, "errnoRet": errno.EACCES}
    program = seccomp.compile_profile({"defaultAction": ALLOW, "architectures": architectures, "syscalls": [rule]})
    try:
        assert box.run(box.spec("/small", root=root), overlay=layers, program=program).code == expected
    except AssertionError:
        if box.run(box.spec("/small", root=root), overlay=layers).error is not None:
            pytest.skip("this kernel runs no programs of 32 bits")
        raise


@pytest.mark.root
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_listener_decides(root: Path, tmp_path: Path, *, no_new_privileges: bool) -> None:
    """mkdir is answered with ENOMEDIUM by an agent, which has been told whose it is."""
    path = str(tmp_path / "agent.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.bind(path)
        agent.listen(1)
        rules = {"defaultAction": ALLOW, "syscalls": [asked("mkdir"), asked("mkdirat")]}
        program = seccomp.compile_profile({**rules, "listenerPath": path, "listenerMetadata": "mine"})
        wanted = box.spec("mkdir", "/tmp/decided", root=root)
        wanted["process"]["noNewPrivileges"] = no_new_privileges
        wanted["annotations"] = {"who": "me"}
        with box.ready(wanted, program=program) as running:
            launch.release(running.child, [])
            channel, _ = agent.accept()
            with channel:
                data, (fd,), _, _ = socket.recv_fds(channel, 1 << 16, 1)
            told = json.loads(data)
            assert (told["pid"], told["metadata"], told["fds"]) == (running.child.pid, "mine", ["seccompFd"])
            assert (told["state"]["pid"], told["state"]["annotations"]) == (running.child.pid, {"who": "me"})
            notice = bytearray(80)
            fcntl.ioctl(fd, 0xC0502100, notice)  # SECCOMP_IOCTL_NOTIF_RECV
            (id,) = struct.unpack_from("=Q", notice)
            answer = struct.pack("=QqiI", id, 0, -errno.ENOMEDIUM, 0)
            fcntl.ioctl(fd, 0xC0182101, answer)  # SECCOMP_IOCTL_NOTIF_SEND
            assert running.wait() == 1
            os.close(fd)
            assert "No medium found" in running.text()
    assert not (root / "tmp/decided").exists()


@pytest.mark.root
def test_an_agent_that_is_not_there_is_named(root: Path) -> None:
    program = seccomp.compile_profile(
        {"defaultAction": ALLOW, "syscalls": [asked("mkdir")], "listenerPath": "/not/there"}
    )
    error = box.run(box.spec("true", root=root), program=program).error
    assert error is not None
    assert error["message"] == "seccomp listener /not/there: no such file or directory"
