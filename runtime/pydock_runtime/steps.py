"""Calls that a parent makes ready and its forked child carries out, one after another. Used by `credentials`, `join`.

A forked child shares its memory with its parent until one of the two writes to it, and Python writes to what it only
looks at. Each page costs both of them a fault and a copy: a child that converts, decides and looks up for itself takes
three times as long as one that has nothing left to do but to call.
"""

from __future__ import annotations

import ctypes
import os

from pydock_runtime import abi, linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Step = tuple[str, Callable[..., Any], tuple[Any, ...], int]
    """What it is called, the function, what it is called with, and the errno that is no failure, or KEPT."""
    Check = tuple[Callable[..., Any], tuple[Any, ...], int | None]
    """The function, what it is called with, and what it has to return; None: anything, which is kept."""

_libc = ctypes.PyDLL(None, use_errno=True)  # no types are declared: what a step is called with is of the right one
_getcwd = _libc.getcwd
_SIG_DFL = ctypes.create_string_buffer(32)
"""struct sigaction of the kernel: all zero is the default action."""
NO_SIGNALS = ctypes.create_string_buffer(128)
"""An empty sigset_t."""
_PATH = ctypes.create_string_buffer(os.pathconf("/", "PC_PATH_MAX"))
KEPT = -1
"""Of a step: what it returns is `result` for those that come after it."""
result = ctypes.c_long()
_numbers: dict[int, ctypes.c_long] = {}
HIGHEST_FD = 0xFFFFFFFF


def call(name: str, *arguments: Any, tolerated: int = 0) -> Step:
    """Return the call of a function of the C library that fails with -1; what is pointed to is kept alive."""
    return name, getattr(_libc, name), tuple(map(ready, arguments)), tolerated


def system_call(name: str, number: int, *arguments: Any, tolerated: int = 0) -> Step:
    """Return a system call that the C library has no function for."""
    return name, _libc.syscall, tuple(map(ready, (number, *arguments))), tolerated


def fork(flags: int, exit_signal: int) -> tuple[Step, ctypes.c_int]:
    """Return the making of a child, in which it returns 0, and what its pidfd will be in. One thread only."""
    pidfd = ctypes.c_int(-1)
    wanted = linux.CloneArgs(flags=flags | abi.CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=exit_signal)
    return system_call("clone3", abi.SYS_CLONE3, ctypes.byref(wanted), ctypes.sizeof(wanted)), pidfd


def python(function: Callable[..., Any], *arguments: Any) -> Step:
    """Return the call of a Python function, which raises when it fails: for what few ask for."""
    return "", function, arguments, 0


def write_file(path: bytes, text: bytes, *, tolerated: int) -> list[Step]:
    """Return the writing of a file; that it cannot be opened is a failure in any case."""
    found = (
        call("open", path, os.O_WRONLY | os.O_CLOEXEC, tolerated=KEPT),
        call("write", result, text, len(text), tolerated=tolerated),
        call("close", result),
    )
    return [(os.fsdecode(path), *step[1:]) for step in found]


def ready(argument: Any) -> Any:
    """Return what a call is made with; each number is there once, and so on few pages."""
    if not isinstance(argument, int):
        return argument
    if argument not in _numbers:
        _numbers[argument] = ctypes.c_long(argument)
    return _numbers[argument]


def prctl(option: int, second: int = 0, third: int = 0, *, tolerated: int = 0) -> Step:
    """Return a change of a property of the process; prctl(2)."""
    return call("prctl", option, second, third, 0, 0, tolerated=tolerated)


def close_range(first: int, last: int = HIGHEST_FD, flags: int = 0) -> Step:
    """Return the closing of a range of descriptors, or their marking as close-on-exec."""
    return system_call("close_range", abi.SYS_CLOSE_RANGE, first, last, flags)


def close_all_but(kept: Iterable[int]) -> list[Step]:
    """Return the closing of every descriptor from 3 on that is not one of these."""
    steps, first = [], 3
    for fd in sorted({fd for fd in kept if fd >= 3}):
        if fd > first:
            steps.append(close_range(first, fd - 1))
        first = fd + 1
    return [*steps, close_range(first)]


def default_signal(number: int) -> Step:
    """Return giving a signal its default action, also one that the C library keeps to itself and refuses to change."""
    return system_call("rt_sigaction", abi.SYS_RT_SIGACTION, number, _SIG_DFL, None, 8)


def holds(path: bytes, text: bytes) -> list[Check]:
    """Return the questions whether a file holds just this. Nothing is in one that cannot be opened.

    A pipe or a device is not waited for.
    """
    opening = ("open", path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if not text:
        return [check(-1, *opening)]
    buffer = ctypes.create_string_buffer(len(text) + 1)
    return [
        check(None, *opening),
        check(len(text), "read", result, buffer, len(buffer)),
        check(0, "memcmp", buffer, text, len(text)),
        check(0, "close", result),
    ]


def enters(path: bytes) -> list[Check]:
    """Return the questions whether a folder can be made the working directory, and has a path below the root."""
    return [
        check(0, "chdir", path),
        check(None, "memset", _PATH, 0, 1),
        check(None, "getcwd", _PATH, len(_PATH)),
        check(0, "memcmp", _PATH, b"/", 1),
    ]


def check(wanted: int | None, name: str, *arguments: Any) -> Check:
    """Return the question whether a function of the C library returns just this; None: its answer is `result`."""
    return getattr(_libc, name), tuple(map(ready, arguments)), wanted


def all_hold(checks: Iterable[Check]) -> bool:
    """Say whether all is as it is wanted; nothing comes after the first that is not."""
    for function, arguments, wanted in checks:
        returned = function(*arguments)
        if wanted is None:
            result.value = returned
        elif returned != wanted:
            return False
    return True


def folder() -> bytes:
    """Return the working directory. Raises OSError."""
    if _getcwd(_PATH, len(_PATH)) == 0:
        raise failure("getcwd")
    return _PATH.value


def failure(what: str | None) -> OSError:
    """Return the error of the call that has just failed."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def succeeds(step: Step) -> bool:
    """Do one thing; say whether it could be done."""
    _, function, arguments, _ = step
    return bool(function(*arguments) != -1)


def carry_out(steps: Iterable[Step]) -> None:
    """Do everything in its order; OSError, or what a Python function raises, is of the first that fails."""
    for name, function, arguments, tolerated in steps:
        returned = function(*arguments)
        if returned == -1:
            if ctypes.get_errno() != tolerated:
                raise failure(name)
        elif tolerated == KEPT:
            result.value = returned
