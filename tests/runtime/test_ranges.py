"""A shorter program answers every call as the longer one does."""

import itertools
import struct
from typing import Any

import pytest

from pydock_daemon.containers import seccomp as profiles
from pydock_runtime import ranges, seccomp

ARGUMENTS = (0, 1, 2, 8, 16, 40, 0x20000, 0x10000000, 0x7E020000, 0xFFFFFFFF, 1 << 32)
ARCHITECTURES = (0xC000003E, 0x40000003, 0xC00000B7, 0)
NUMBERS = (*range(600), *range(0x40000000, 0x40000000 + 600), 0x3FFFFFFF, 0xFFFFFFFF)


def steps(program: bytes) -> list[tuple[int, int, int, int]]:
    return [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]


def answer(program: list[tuple[int, int, int, int]], architecture: int, number: int, argument: int) -> int:
    """What the kernel would make of a call with six times this argument."""
    words = struct.unpack("=16I", struct.pack("=IIQ6Q", number, architecture, 0, *[argument] * 6))
    at = value = 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            value = words[operand // 4]
        elif code == 0x05:
            at += operand
        elif code == 0x54:
            value &= operand
        else:
            holds = {0x15: value == operand, 0x25: value > operand, 0x35: value >= operand}[code]
            at += yes if holds else no


def compiled(monkeypatch: pytest.MonkeyPatch, profile: dict[str, Any]) -> tuple[bytes, bytes]:
    """The program of a profile as libseccomp makes it, and shortened."""
    short = seccomp.compile_profile(profile)
    monkeypatch.setattr(ranges, "shorten", lambda program: program)
    return seccomp.compile_profile(profile), short


def test_docker_s_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    found = profiles.for_container(profiles.option(None), ["CAP_CHOWN", "CAP_SYS_CHROOT"])
    assert found is not None
    long, short = compiled(monkeypatch, found.oci)
    assert len(short) < len(long) / 2
    before, after = steps(long), steps(short)
    for architecture, number in itertools.product(ARCHITECTURES, NUMBERS):
        for argument in ARGUMENTS:
            assert answer(before, architecture, number, argument) == answer(after, architecture, number, argument)


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL"])
@pytest.mark.parametrize("op", ["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_GT", "SCMP_CMP_LE"])
def test_arguments(monkeypatch: pytest.MonkeyPatch, default: str, op: str) -> None:
    condition = {"index": 1, "value": 0x20000, "valueTwo": 0x20000, "op": op}
    profile = {
        "defaultAction": default,
        "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read", "clone", "getpid"], "action": "SCMP_ACT_TRAP", "args": [condition]},
            {"names": ["getpid", "mount"], "action": "SCMP_ACT_LOG"},
            {
                "names": ["write"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 7,
                "args": [{**condition, "index": 0}, condition],
            },
        ],
    }
    long, short = compiled(monkeypatch, profile)
    before, after = steps(long), steps(short)
    for architecture, number, argument in itertools.product(ARCHITECTURES, range(400), ARGUMENTS):
        assert answer(before, architecture, number, argument) == answer(after, architecture, number, argument)


def test_what_is_not_understood_is_left_alone() -> None:
    strange = struct.pack("=HBBI", 0x80, 0, 0, 0) + struct.pack("=HBBI", 0x06, 0, 0, 0)  # the length of a packet
    assert ranges.shorten(strange) == strange
