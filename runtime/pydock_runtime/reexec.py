"""The sealed copy of the interpreter: what containers see as /proc/PID/exe is a memory file, never the host's python.

Used by the supervisor and `pydock-runtime` before they fork anything (the class of CVE-2019-5736).
"""

from __future__ import annotations

import fcntl
import os
import sys

F_ADD_SEALS = 1033
KEPT = ("LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "USER", "LISTEN_FDS", "LISTEN_PID")
ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x8


def is_sealed() -> bool:
    """Say whether this process already runs from the copy."""
    return os.readlink("/proc/self/exe").startswith("/memfd:")


class Program:
    """An installed `pydock_runtime`: its interpreter, where that has its library, and the folder of the package."""

    __slots__ = ("folder", "home", "python")

    def __init__(self, python: str, home: str, folder: str) -> None:
        self.python = python
        self.home = home
        self.folder = folder

    def command(self, argv: list[str], module: str = "cli") -> list[str]:
        """Return the command that runs `main` of one of its modules with these arguments."""
        start = (
            f"import sys; sys.path.insert(0, {self.folder!r}); from pydock_runtime.{module} import main; "
            "sys.exit(main())"
        )
        return [self.python, "-S", "-s", "-P", "-c", start, *argv]

    def environment(self) -> dict[str, str]:
        """Return what the interpreter needs, and nothing else."""
        env = {"PYTHONHOME": self.home, "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        return env | {name: os.environ[name] for name in KEPT if name in os.environ}

    def execute(self, argv: list[str]) -> None:
        """Become it, from a sealed copy of its interpreter. Same pid; descriptors that are inheritable stay open."""
        os.execve(_copy(self.python), self.command(argv), self.environment())


def ours() -> Program:
    """Return the program that this process runs."""
    python = sys.executable if sys.executable else os.readlink("/proc/self/exe")
    return Program(python, sys.base_prefix, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def into_sealed_copy(argv: list[str]) -> None:
    """Run `pydock_runtime` with these arguments from the copy; returns at once when this process already does."""
    if not is_sealed():
        ours().execute(argv)


def _copy(path: str) -> int:
    copy = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(os.path.realpath(path), "rb") as source:
        left = os.fstat(source.fileno()).st_size
        while left:
            left -= os.sendfile(copy, source.fileno(), None, left)
    fcntl.fcntl(copy, F_ADD_SEALS, ALL_SEALS)
    return copy
