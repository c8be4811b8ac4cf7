"""The last steps before the user's program: limits, user, capabilities, seccomp, exec. Used by `init` and `join`.

The order matters, and is told in `become`.
"""

from __future__ import annotations

import errno
import os
import signal

from pydock_runtime import (
    abi,
    capabilities,
    labels,
    linux,
    listener,
    mempolicy,
    namespaces,
    program,
    rlimits,
    scheduling,
    user,
)
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pydock_runtime.labels import Labels
    from pydock_runtime.linux import Strings
    from pydock_runtime.listener import Listener
    from pydock_runtime.seccomp import Program

IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, 32, 33)
"""Python ignores the first two; glibc's posix_spawn, and so make, leaves its own two ignored in what it starts."""
SEARCHED_BY_ITS_USER = 0x3F1B0000
"""Rights of a session keyring, keyctl_setperm(3): all for who holds it, view, read, search and link for its user."""
LAST_FD = 0xFFFFFFFF


class Process:
    """`process` of a spec, checked and turned into what the kernel takes, before the root is changed."""

    __slots__ = (
        "_envp",
        "_has_home",
        "args",
        "argv",
        "capabilities",
        "cwd",
        "env",
        "filter",
        "labels",
        "limits",
        "listener",
        "memory_policy",
        "no_new_privileges",
        "oom_score_adj",
        "personality",
        "preserve",
        "scheduling",
        "umask",
        "user",
    )

    def __init__(self, spec: dict[str, Any], program: Program | None, *, preserve: int = 0) -> None:
        if not spec.get("args"):
            raise RuntimeFailure("process.args must not be empty", INVALID)
        self.args = [os.fsencode(word) for word in spec["args"]]
        self.env = [os.fsencode(entry) for entry in spec.get("env") or ()]
        if any(b"\0" in word for word in (*self.args, *self.env)):
            raise RuntimeFailure("process arguments and variables must not contain NUL", INVALID)
        self.cwd: str = spec.get("cwd") or "/"
        if not self.cwd.startswith("/"):
            raise RuntimeFailure(f"cwd {self.cwd!r} is not an absolute path", INVALID)
        self.user: dict[str, Any] = spec.get("user") or {}
        self.umask: int = self.user.get("umask", 0o022)
        self.limits = rlimits.check(spec.get("rlimits") or [])
        self.capabilities = capabilities.Sets(spec.get("capabilities") or {})
        self.no_new_privileges = bool(spec.get("noNewPrivileges"))
        self.oom_score_adj: int | None = spec.get("oomScoreAdj")
        self.scheduling = scheduling.Scheduling(spec)
        self.personality: int | None = None
        self.memory_policy: tuple[int, int] | None = None
        labels.check(spec)
        self.labels: Labels | None = None
        self.listener: Listener | None = None
        self.filter = program
        self.preserve = preserve
        self.argv = linux.strings(self.args)
        self._envp = linux.strings(self.env, room=1)
        self._has_home = any(entry.startswith(b"HOME=") for entry in self.env)

    def environment(self, home: bytes) -> Strings:
        """Return the environment for `linux.exec_file`, with this HOME where it has none."""
        if not self._has_home:
            self._envp[len(self.env)] = b"HOME=" + home
        return self._envp

    def take(self, part: dict[str, Any]) -> None:
        """Take what is the container's and not of a `process`, from the `linux` of its spec; RuntimeFailure."""
        self.personality = scheduling.personality(part.get("personality") or {})
        self.memory_policy = mempolicy.check(part.get("memoryPolicy"))


def become(process: Process, before: Callable[[], None] | None = None) -> NoReturn:
    """Turn this process, already inside its namespaces and root, into the user's program.

    `before` is called with all its rights given up, and before the filter where that can be.
    """
    rlimits.give_back()
    rlimits.apply(process.limits)
    process.scheduling.apply()
    if process.personality is not None:
        linux.personality(process.personality)
    if process.memory_policy is not None:
        mempolicy.apply(process.memory_policy)
    account = user.resolve(process.user)
    _own_stdio(account)
    # As root first: it may lie where only root can go. A network file system may know the user only: again, below.
    entered = _enter(process.cwd, last_try=False)
    if process.filter is not None and not process.no_new_privileges:
        # Loading a filter needs CAP_SYS_ADMIN unless no-new-privileges is set.
        _load(process)
    capabilities.drop_bounding(process.capabilities)
    linux.prctl(abi.PR_SET_KEEPCAPS, 1)
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    linux.prctl(abi.PR_SET_KEEPCAPS, 0)
    capabilities.apply(process.capabilities, root=account.uid == 0)
    if not entered:
        _enter(process.cwd, last_try=True)
    if process.no_new_privileges:
        linux.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)
    os.umask(process.umask)
    _default_signals()
    path = program.find(process.args[0], process.env)
    if before is not None:
        before()
    if process.labels is not None:
        process.labels.apply()
    if process.filter is not None and process.no_new_privileges:
        _load(process)
    linux.close_range(3 + process.preserve, LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
    raise program.failure(path, linux.exec_file(path, process.argv, process.environment(account.home)))


def prepare(process: Process, spec: dict[str, Any], state: dict[str, Any], status: str) -> None:
    """Open what is needed of the host for the last steps, before its files are out of reach; `spec` as for Process."""
    if spec.get("apparmorProfile") or spec.get("selinuxLabel"):
        with namespaces.readable_proc():
            process.labels = labels.Labels(spec)
    if process.filter is not None and process.filter.listener:
        process.listener = listener.Listener(process.filter.listener, process.filter.metadata, state, status)


def leave_keyring() -> None:
    """Begin a session keyring that nobody else has: the one of whoever started us holds keys of the host.

    The user of the program may search it, as in runc.
    """
    try:
        keyring = linux.keyctl(abi.KEYCTL_JOIN_SESSION_KEYRING, 0)
        linux.keyctl(abi.KEYCTL_SETPERM, keyring, SEARCHED_BY_ITS_USER)
    except OSError as error:
        # A kernel without keys has none to protect.
        if error.errno != errno.ENOSYS:
            raise


def _load(process: Process) -> None:
    if process.filter is None:
        return
    fd = linux.load_seccomp(process.filter, process.filter.flags)
    if process.listener is not None:
        process.listener.send(fd)


def score(value: int | None, pid: str = "self") -> None:
    """Set the OOM score, by the host's /proc. Without CAP_SYS_RESOURCE it cannot be lowered: then ours stays."""
    if value is None:
        return
    fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % value)
    except PermissionError:
        return
    finally:
        os.close(fd)


def _own_stdio(account: user.User) -> None:
    """Give the user the pipes and the terminal, so that /dev/stdout can be opened; not the shared /dev/null."""
    null = os.makedev(1, 3)
    for fd in (0, 1, 2):
        info = os.fstat(fd)
        if info.st_uid == account.uid or info.st_rdev == null:
            continue
        try:
            os.fchown(fd, account.uid, info.st_gid)
        except OSError as error:
            # A descriptor of a read-only file system, of a socket or of another user namespace works as it is.
            if error.errno not in (errno.EINVAL, errno.EROFS, errno.EPERM):
                raise


def _enter(cwd: str, *, last_try: bool) -> bool:
    try:
        os.chdir(cwd)
    except PermissionError as error:
        if not last_try:
            return False
        raise _no_cwd(cwd, error) from error
    except OSError as error:
        raise _no_cwd(cwd, error) from error
    # A descriptor of the host left open (CVE-2024-21626) would show as a path that is not below the root.
    if not os.getcwd().startswith("/"):
        raise RuntimeFailure("current working directory is outside of the container's root")
    return True


def _no_cwd(cwd: str, error: OSError) -> RuntimeFailure:
    return RuntimeFailure(f'chdir to cwd ("{cwd}") set in config.json failed: {reason(error)}')


def _default_signals() -> None:
    for number in IGNORED:
        linux.default_signal(number)
    linux.unblock_signals()
