"""Device rules on cgroup v2: a small BPF program, assembled here, attached to the cgroup. Used by v2.

The program gets struct bpf_cgroup_dev_ctx {access_type, major, minor}, where access_type is access << 16 | type
(include/uapi/linux/bpf.h). It returns 1 to allow. The last rule that matches decides, so rules are tested backwards.
"""

from __future__ import annotations

import ctypes
import os
import struct

from pydock_runtime import abi, linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TYPES = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}
# Operations: load word from memory, and/shift with a constant, move, jump if not equal, exit
LDX_W, AND32_K, RSH32_K, MOV32_K, MOV32_X, JNE_K, JNE_X, EXIT = 0x61, 0x54, 0x74, 0xB4, 0xBC, 0x55, 0x5D, 0x95
LICENSE = b"Apache-2.0\0"
MOST = 64
"""Programs that the kernel lets one cgroup have."""
ATTRIBUTES = 128
TYPE, MASK, MAJOR, MINOR, WANTED = 2, 3, 4, 5, 1
"""Registers: device type, access asked for, numbers, and one to compute in."""


def _op(code: int, dst: int, src: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    return struct.pack("<BBhi", code, dst | src << 4, offset, constant)


def assemble(rules: list[dict[str, Any]]) -> bytes:
    """Return the program for device rules of the OCI spec, which start from `deny all`."""
    program = [
        _op(LDX_W, TYPE, 1, 0),
        _op(AND32_K, TYPE, constant=0xFFFF),
        _op(LDX_W, MASK, 1, 0),
        _op(RSH32_K, MASK, constant=16),
        _op(LDX_W, MAJOR, 1, 4),
        _op(LDX_W, MINOR, 1, 8),
    ]
    for rule in reversed(rules):
        program += _rule(rule)
        if _matches_all(rule):
            return b"".join(program)
    program += [_op(MOV32_K, 0, constant=0), _op(EXIT, 0)]
    return b"".join(program)


def _matches_all(rule: dict[str, Any]) -> bool:
    return rule.get("type") in (None, "a") and set(rule.get("access") or "rwm") == set("rwm")


def _rule(rule: dict[str, Any]) -> list[bytes]:
    """Return the tests of one rule; each jumps past its end when it does not match."""
    tests: list[tuple[list[bytes], int, int, int]] = []
    kind, access = rule.get("type") or "a", rule.get("access") or "rwm"
    if kind != "a":
        tests.append(([], JNE_K, TYPE, TYPES[kind]))
    mask = sum(ACCESS[letter] for letter in set(access))
    if mask != 7:
        # The rule covers the request when no asked-for bit lies outside it.
        outside = [_op(MOV32_X, WANTED, MASK), _op(AND32_K, WANTED, constant=~mask & 7)]
        tests.append((outside, JNE_K, WANTED, 0))
    for key, register in (("major", MAJOR), ("minor", MINOR)):
        if kind != "a" and rule.get(key) not in (None, -1):
            tests.append(([], JNE_K, register, rule[key]))
    verdict = [_op(MOV32_K, 0, constant=1 if rule["allow"] else 0), _op(EXIT, 0)]
    code: list[bytes] = []
    for before, jump, register, constant in reversed(tests):
        distance = len(code) + len(verdict)
        code = [*before, _op(jump, register, offset=distance, constant=constant), *code]
    return code + verdict


def attach(folder: str, rules: list[dict[str, Any]]) -> None:
    """Load the program of the rules and make it the one of a cgroup; it lives as long as the cgroup."""
    loaded = _load(assemble(rules))
    target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Were an old one left beside the new, a device would have to be allowed by both.
        old = _attached(target)
        flags = abi.BPF_F_ALLOW_MULTI | (abi.BPF_F_REPLACE if old is not None else 0)
        _bpf(abi.BPF_PROG_ATTACH, struct.pack("=IIIII", target, loaded, abi.BPF_CGROUP_DEVICE, flags, old or 0))
        if old is not None:
            os.close(old)
    finally:
        os.close(target)
        os.close(loaded)


def _load(code: bytes) -> int:
    """Return the descriptor of a program that the kernel has checked."""
    program, license_ = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(LICENSE)
    kind, count = abi.BPF_PROG_TYPE_CGROUP_DEVICE, len(code) // 8
    attributes = struct.pack("=IIQQ", kind, count, ctypes.addressof(program), ctypes.addressof(license_))
    return _bpf(abi.BPF_PROG_LOAD, attributes)


def _attached(target: int) -> int | None:
    """Return a descriptor of the program that a cgroup has itself, None without."""
    ids = (ctypes.c_uint32 * MOST)()
    query = ctypes.create_string_buffer(
        struct.pack("=IIIIQI", target, abi.BPF_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), MOST), ATTRIBUTES
    )
    linux.bpf(abi.BPF_PROG_QUERY, query)
    count = struct.unpack_from("=I", query, 24)[0]
    return _bpf(abi.BPF_PROG_GET_FD_BY_ID, struct.pack("=I", ids[count - 1])) if count else None


def _bpf(command: int, attributes: bytes) -> int:
    return linux.bpf(command, ctypes.create_string_buffer(attributes, ATTRIBUTES))
