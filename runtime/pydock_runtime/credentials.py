"""The last steps before the user's program: limits, user, capabilities, seccomp, exec. Used by `init` and `join`.

The order matters, and is told in `become`.
"""

from __future__ import annotations

import os
import signal

from pydock_runtime import abi, capabilities, linux, rlimits, user
from pydock_runtime.errors import EXEC_DENIED, EXEC_NOT_FOUND, INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
ENOENT, ENOTDIR, EACCES, ENOEXEC, EISDIR = 2, 20, 13, 8, 21


class Process:
    """`process` of a spec, checked and turned into what the kernel takes, before the root is changed."""

    __slots__ = (
        "args",
        "capabilities",
        "cwd",
        "env",
        "limits",
        "no_new_privileges",
        "oom_score_adj",
        "program",
        "umask",
        "user",
    )

    def __init__(self, spec: dict[str, Any], program: bytes | None) -> None:
        if not spec.get("args"):
            raise RuntimeFailure("process.args must not be empty", INVALID)
        self.args = [os.fsencode(word) for word in spec["args"]]
        self.env = [os.fsencode(entry) for entry in spec.get("env") or ()]
        if any(b"\0" in word for word in (*self.args, *self.env)):
            raise RuntimeFailure("process arguments and variables must not contain NUL", INVALID)
        self.cwd = spec.get("cwd") or "/"
        self.user: dict[str, Any] = spec.get("user") or {}
        self.umask = self.user.get("umask", 0o022)
        self.limits = rlimits.check(spec.get("rlimits") or [])
        self.capabilities = capabilities.Sets(spec.get("capabilities") or {})
        self.no_new_privileges = bool(spec.get("noNewPrivileges"))
        self.oom_score_adj = spec.get("oomScoreAdj")
        self.program = program


def become(process: Process) -> NoReturn:
    """Turn this process, already inside its namespaces and root, into the user's program."""
    _score(process.oom_score_adj)
    rlimits.apply(process.limits)
    account = user.resolve(process.user)
    _own_stdio(account)
    # As root: the working directory is made when the image has none, and may lie where only root can go.
    _enter(process.cwd)
    if process.program is not None and not process.no_new_privileges:
        # Loading a filter needs CAP_SYS_ADMIN unless no-new-privileges is set.
        linux.load_seccomp(process.program)
    capabilities.drop_bounding(process.capabilities)
    linux.prctl(abi.PR_SET_KEEPCAPS, 1)
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    linux.prctl(abi.PR_SET_KEEPCAPS, 0)
    capabilities.apply(_for_user(process.capabilities, account.uid))
    if process.no_new_privileges:
        linux.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)
    os.umask(process.umask)
    _default_signals()
    env = (
        process.env
        if any(entry.startswith(b"HOME=") for entry in process.env)
        else [*process.env, b"HOME=" + account.home]
    )
    candidates = _candidates(process.args[0], env)
    if process.program is not None and process.no_new_privileges:
        linux.load_seccomp(process.program)
    linux.close_range(3, 0xFFFFFFFF, abi.CLOSE_RANGE_CLOEXEC)
    _exec(candidates, process.args, env)


def _score(value: int | None) -> None:
    """Set the OOM score. Lowering it below the caller's needs CAP_SYS_RESOURCE; without it the caller's stays."""
    if value is None:
        return
    try:
        _write("/proc/self/oom_score_adj", b"%d" % value)
    except PermissionError:
        return


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _own_stdio(account: user.User) -> None:
    """Give the user the pipes and the terminal, so that /dev/stdout can be opened; not the shared /dev/null."""
    null = os.stat("/dev/null").st_rdev if os.path.exists("/dev/null") else 0
    for fd in (0, 1, 2):
        info = os.fstat(fd)
        if info.st_uid == account.uid or (info.st_rdev and info.st_rdev == null):
            continue
        try:
            os.fchown(fd, account.uid, info.st_gid)
        except OSError:
            # A descriptor of a read-only file system or of a socket: it works as it is.
            continue


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except FileNotFoundError:
        try:
            os.makedirs(cwd, 0o755, exist_ok=True)
            os.chdir(cwd)
        except OSError as error:
            raise RuntimeFailure(f"chdir to cwd ({cwd!r}) set in config.json failed: {_text(error)}") from error
    except OSError as error:
        raise RuntimeFailure(f"chdir to cwd ({cwd!r}) set in config.json failed: {_text(error)}") from error
    # A descriptor of the host left open (CVE-2024-21626) would show as a path that is not below the root.
    if not os.getcwd().startswith("/"):
        raise RuntimeFailure("current working directory is outside of the container's root")


def _for_user(sets: capabilities.Sets, uid: int) -> capabilities.Sets:
    """Return the sets as the kernel leaves them for a program run by another user than root: only ambient ones survive."""
    if uid != 0:
        sets.effective = sets.permitted = sets.ambient
    return sets


def _default_signals() -> None:
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _candidates(name: bytes, env: list[bytes]) -> list[bytes]:
    """Return the paths to try, as execvp(3) does."""
    if b"/" in name:
        return [name]
    path = next((entry[5:] for entry in env if entry.startswith(b"PATH=")), DEFAULT_PATH)
    return [(folder or b".") + b"/" + name for folder in path.split(b":")]


def _exec(candidates: list[bytes], args: list[bytes], env: list[bytes]) -> NoReturn:
    denied: OSError | None = None
    for candidate in candidates:
        error = linux.exec_file(candidate, args, env)
        if error.errno not in (ENOENT, ENOTDIR):
            if error.errno == ENOENT or denied is None:
                denied = error
            if error.errno != EACCES:
                break
    raise _failure(args[0], candidates, denied)


def _failure(name: bytes, candidates: list[bytes], denied: OSError | None) -> RuntimeFailure:
    shown = os.fsdecode(name)
    if denied is not None:
        if denied.errno == EACCES and os.path.isdir(candidates[0]) and b"/" in name:
            return RuntimeFailure(f'exec: "{shown}": is a directory', EXEC_DENIED)
        return RuntimeFailure(f'exec: "{shown}": {_text(denied)}', EXEC_DENIED)
    if b"/" in name:
        return RuntimeFailure(f'exec: "{shown}": stat {shown}: no such file or directory', EXEC_NOT_FOUND)
    return RuntimeFailure(f'exec: "{shown}": executable file not found in $PATH', EXEC_NOT_FOUND)


def _text(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
