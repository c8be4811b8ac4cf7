"""From `linux.seccomp` of a spec to a program for the kernel, by libseccomp and ctypes. Used by supervisor and verbs.

Compiling takes some milliseconds and is done once per profile; a start loads the bytes (`linux.load_seccomp`).
"""

from __future__ import annotations

import ctypes
import os
import struct

from pydock_runtime import abi, linux, ranges
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Actions and comparisons of seccomp.h; the low 16 bits of ERRNO and TRACE carry a number.
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
NOTIFY = "SCMP_ACT_NOTIFY"
OF_A_LISTENER = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
# Flags of seccomp(2). A listener is asked for by the kernel's word, when a rule needs it.
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0x01,
    "SECCOMP_FILTER_FLAG_LOG": 0x02,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 0x04,
    OF_A_LISTENER: 0x20,
}
WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
TELLING = ("write", "sendmsg", "close")
"""What telling the listener takes: a process that waited for an answer to these would wait for ever."""
EPERM, EEXIST, EDOM = 1, 17, 33
UNKNOWN_SYSCALL = -1
# With these as default a system call that the profile has never heard of is let through, or decided by a tracer.
LENIENT = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
# Classic BPF, and struct seccomp_data {nr, arch, ...}
LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
AT_NUMBER, AT_ARCHITECTURE = 0, 4
# No architecture that the kernel reports: the calls of x32 are those of x86-64 with a bit set.
X32, X32_BIT = 0x4000003E, 0x40000000
ARCHITECTURES = (
    "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC "
    "PARISC64 RISCV64"
).split()
ERRNO_ENOSYS = 0x00050000 | 38


class Program(bytes):
    """A compiled filter, an array of struct sock_filter; how it is loaded, and who is told of its listener."""

    flags = 0
    listener = ""
    metadata = ""

    def saved(self) -> list[Any]:
        """Return what `restored` makes it again from."""
        return [bytes(self), self.flags, self.listener, self.metadata]


def restored(saved: list[Any]) -> Program:
    """Return a program that was compiled before."""
    program = Program(saved[0])
    program.flags, program.listener, program.metadata = saved[1:]
    return program


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise RuntimeFailure(f"seccomp needs the library libseccomp.so.2: {error}") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    return library


def _action(name: str, number: int | None) -> int:
    if name not in ACTIONS:
        raise RuntimeFailure(f"seccomp action {name} is not supported", INVALID)
    return ACTIONS[name] | ((EPERM if number is None else number) & 0xFFFF if name in WITH_NUMBER else 0)


def compile_profile(profile: dict[str, Any]) -> Program:
    """Return the program of a profile in the OCI form. RuntimeFailure names a fault."""
    asks = _check_listener(profile)
    flags = abi.SECCOMP_FILTER_FLAG_NEW_LISTENER if asks else 0
    for word in profile.get("flags") or ():
        if word not in FLAGS:
            raise RuntimeFailure(f"seccomp flag {word} is not supported", INVALID)
        flags |= FLAGS[word]
    if asks and flags & FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]:
        # Both answer by the result of the call. A program begins with one thread: there is nothing to bring in line.
        flags &= ~FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
    program = Program(_compile(profile))
    program.flags = flags
    if asks:
        program.listener, program.metadata = profile["listenerPath"], profile.get("listenerMetadata") or ""
    return program


def _check_listener(profile: dict[str, Any]) -> bool:
    """Say whether a rule leaves the decision to a listener; RuntimeFailure when that cannot be."""
    if profile["defaultAction"] == NOTIFY:
        raise RuntimeFailure("SCMP_ACT_NOTIFY cannot be used as default action", INVALID)
    names = {name for rule in profile.get("syscalls") or () if rule["action"] == NOTIFY for name in rule["names"]}
    if names and not profile.get("listenerPath"):
        raise RuntimeFailure("listenerPath must be set for SCMP_ACT_NOTIFY", INVALID)
    for name in TELLING:
        if name in names:
            raise RuntimeFailure(f"SCMP_ACT_NOTIFY cannot be used for the {name} syscall", INVALID)
    return bool(names)


def _compile(profile: dict[str, Any]) -> bytes:
    library = _library()
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    if not context:
        raise RuntimeFailure(f"seccomp default action {profile['defaultAction']} is refused", INVALID)
    try:
        # No new privileges is the container's choice, not the filter's (SCMP_FLTATR_CTL_NNP = 3); a binary tree makes
        # the filter's cost logarithmic (SCMP_FLTATR_CTL_OPTIMIZE = 8).
        library.seccomp_attr_set(context, 3, 0)
        library.seccomp_attr_set(context, 8, 2)
        tokens = {library.seccomp_arch_native()}
        tokens |= {_add_architecture(library, context, name) for name in profile.get("architectures") or ()}
        rules = profile.get("syscalls") or ()
        for rule in rules:
            _add_rule(library, context, rule, default)
        unknown = b"" if profile["defaultAction"] in LENIENT else _refuse_unknown(library, tokens, rules)
        return ranges.shorten(unknown + _export(library, context))
    finally:
        library.seccomp_release(context)


def _refuse_unknown(library: ctypes.CDLL, tokens: set[int], rules: Iterable[dict[str, Any]]) -> bytes:
    """Return what comes first: system calls newer than the profile do not exist (ENOSYS), so that libraries fall back.

    With EPERM they would not: runc has done so since its 1.0.0-rc93.
    """
    names = [name.encode() for rule in rules for name in rule["names"]]
    code = []
    for token in sorted(tokens):
        last = max((library.seccomp_syscall_resolve_name_arch(token, name) for name in names), default=-1)
        if last < 0 or token == X32:
            continue
        code += [
            (LOAD, 0, 0, AT_ARCHITECTURE),
            (JUMP_EQUAL, 0, 4, token),
            (LOAD, 0, 0, AT_NUMBER),
            (JUMP_AT_LEAST, 2, 0, X32_BIT),
            (JUMP_GREATER, 0, 1, last),
            (RETURN, 0, 0, ERRNO_ENOSYS),
        ]
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def takes(name: str) -> bool:
    """Say whether this kernel takes a flag."""
    with_it = abi.SECCOMP_FILTER_FLAG_NEW_LISTENER if name == OF_A_LISTENER else 0
    return linux.takes_seccomp_flags(FLAGS[name] | with_it)


def architectures() -> list[str]:
    """Return the names of the architectures that profiles may name, as far as this libseccomp knows them."""
    library = _library()
    known = (name for name in ARCHITECTURES if library.seccomp_arch_resolve_name(name.lower().encode()))
    return [f"SCMP_ARCH_{name}" for name in known]


def _add_architecture(library: ctypes.CDLL, context: int, name: str) -> int:
    """Let a profile cover a further architecture; return its token."""
    token: int = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    if token == 0:
        raise RuntimeFailure(f"unknown seccomp architecture {name}", INVALID)
    result = library.seccomp_arch_add(context, token)
    if result not in (0, -EEXIST, -EDOM):
        raise RuntimeFailure(f"seccomp architecture {name} is refused: {os.strerror(-result)}", INVALID)
    return token


def _add_rule(library: ctypes.CDLL, context: int, rule: dict[str, Any], default: int) -> None:
    action = _action(rule["action"], rule.get("errnoRet"))
    if action == default:
        return
    arguments = [
        _Comparison(entry.get("index") or 0, _comparison(entry["op"]), *_data(entry))
        for entry in rule.get("args") or ()
    ]
    indexes = [entry.arg for entry in arguments]
    # Several conditions on one argument are alternatives, one rule each; libseccomp takes one condition an argument.
    groups = [[entry] for entry in arguments] if len(set(indexes)) < len(indexes) else [arguments]
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN_SYSCALL:
            # This libseccomp is older than the call; the default action covers it, as in runc.
            continue
        for group in groups:
            array = (_Comparison * len(group))(*group)
            result = library.seccomp_rule_add_array(context, action, number, len(group), array)
            if result not in (0, -EDOM, -EEXIST):
                raise RuntimeFailure(f"seccomp rule for {name} is refused: {os.strerror(-result)}", INVALID)


def _comparison(name: str) -> int:
    if name not in COMPARISONS:
        raise RuntimeFailure(f"unknown seccomp operator {name}", INVALID)
    return COMPARISONS[name]


def _data(entry: dict[str, Any]) -> tuple[int, int]:
    return entry.get("value") or 0, entry.get("valueTwo") or 0


def _export(library: ctypes.CDLL, context: int) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        result = library.seccomp_export_bpf(context, fd)
        if result != 0:
            raise RuntimeFailure(f"seccomp program cannot be exported: {os.strerror(-result)}")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
