"""Tiny static programs made of system calls: what a container tries when busybox has no applet for it.

There is no compiler on a test's host. A program is its calls in order; its exit code is the errno of the last one.
"""

import os
import struct
from pathlib import Path

import pytest

needs_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="programs for x86-64")
REGISTERS = (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8", b"\x49\xb9")  # movabs rdi, rsi, rdx, ...
BASE, HEADERS = 0x400000, 64 + 56
LAST_ERRNO = b"\x48\x89\xc7\x48\xf7\xdf\x48\x85\xc0\x78\x02\x31\xff\xb8\x3c\0\0\0\x0f\x05"  # exit(rax < 0 ? -rax : 0)
Argument = int | bytes


def program(*calls: tuple[Argument, ...]) -> bytes:
    """Return an ELF for x86-64; a call is its number and arguments, bytes are passed by address (a NUL is added)."""
    size = sum(5 + 10 * (len(call) - 1) + 2 for call in calls) + len(LAST_ERRNO)
    at, code, data = BASE + HEADERS + size, b"", b""
    for number, *arguments in calls:
        for register, value in zip(REGISTERS, arguments, strict=False):
            if isinstance(value, bytes):
                address = at + len(data)
                data += value + b"\0"
                code += register + struct.pack("<Q", address)
            else:
                code += register + struct.pack("<Q", value & (1 << 64) - 1)
        code += (
            b"\xb8" + struct.pack("<I", int.from_bytes(number) if isinstance(number, bytes) else number) + b"\x0f\x05"
        )
    body = code + LAST_ERRNO + data
    total = HEADERS + len(body)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    return header + struct.pack("<IIQQQQQQ", 1, 7, 0, BASE, BASE, total, total, 0x1000) + body


def install(root: Path, name: str, *calls: tuple[Argument, ...]) -> None:
    """Put a program into a root, or into an upper layer of one."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(program(*calls))
    path.chmod(0o755)
