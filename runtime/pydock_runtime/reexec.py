"""The sealed copy of the interpreter: what containers see as /proc/PID/exe is a memory file, never the host's python.

Used by the supervisor and `pydock-runtime` before they fork anything (the class of CVE-2019-5736).
"""

from __future__ import annotations

import fcntl
import os
import sys

F_ADD_SEALS = 1033
ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x8


def is_sealed() -> bool:
    """Say whether this process already runs from the copy."""
    return os.readlink("/proc/self/exe").startswith("/memfd:")


def into_sealed_copy(argv: list[str]) -> None:
    """Run `pydock_runtime` with these arguments from the copy; returns at once when this process already does.

    Same pid; descriptors that are inheritable stay open. The environment is reduced to what the interpreter needs.
    """
    if is_sealed():
        return
    fd = _copy(sys.executable if sys.executable else os.readlink("/proc/self/exe"))
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    env = {"PYTHONHOME": sys.base_prefix, "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    if library := os.environ.get("LD_LIBRARY_PATH"):
        env["LD_LIBRARY_PATH"] = library
    start = f"import sys; sys.path.insert(0, {folder!r}); from pydock_runtime.cli import main; sys.exit(main())"
    os.execve(fd, [sys.executable, "-S", "-s", "-P", "-c", start, *argv], env)


def _copy(path: str) -> int:
    copy = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(os.path.realpath(path), "rb") as source:
        left = os.fstat(source.fileno()).st_size
        while left:
            left -= os.sendfile(copy, source.fileno(), None, left)
    fcntl.fcntl(copy, F_ADD_SEALS, ALL_SEALS)
    return copy
