"""The last steps before the user's program: limits, user, capabilities, seccomp, exec. Used by `init` and `join`.

The order matters, and is told in `become`.
"""

from __future__ import annotations

import errno
import os
import signal
import struct

from pydock_runtime import (
    abi,
    capabilities,
    labels,
    linux,
    listener,
    mempolicy,
    namespaces,
    rlimits,
    rootless,
    scheduling,
    steps,
    user,
)
from pydock_runtime import program as program_file
from pydock_runtime.errors import EXEC_DENIED, INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pydock_runtime.labels import Labels
    from pydock_runtime.linux import Strings
    from pydock_runtime.listener import Listener
    from pydock_runtime.seccomp import Program
    from pydock_runtime.steps import Step

IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, 32, 33)
"""Python ignores the first two; glibc's posix_spawn, and so make, leaves its own two ignored in what it starts."""
SEARCHED_BY_ITS_USER = 0x3F1B0000
"""Rights of a session keyring, keyctl_setperm(3): all for who holds it, view, read, search and link for its user."""
THIS_KEYRING = -3
"""KEY_SPEC_SESSION_KEYRING."""


class Process:
    """`process` of a spec, checked and turned into what the kernel takes, before the root is changed.

    What can be made ready for it is: `first` and `last` are what is done before and after it becomes its user.
    """

    __slots__ = (
        "args",
        "argv",
        "capabilities",
        "cwd",
        "entering",
        "env",
        "filter",
        "first",
        "groupless",
        "labels",
        "last",
        "limits",
        "listener",
        "memory_policy",
        "no_new_privileges",
        "oom_score_adj",
        "personality",
        "preserve",
        "rootless",
        "scheduling",
        "search",
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
        rootless.check_groups(spec)
        self.rootless, self.groupless = rootless.unprivileged(), rootless.groupless()
        self.argv = linux.strings(self.args)
        self.entering = steps.call("chdir", os.fsencode(self.cwd))
        self.search = program_file.Search(self.args[0], self.env)
        self.first = _first(self)
        self.last = _last(self)

    def take(self, part: dict[str, Any]) -> None:
        """Take what is the container's and not of a `process`, from the `linux` of its spec; RuntimeFailure."""
        self.personality = scheduling.personality(part.get("personality") or {})
        self.memory_policy = mempolicy.check(part.get("memoryPolicy"))


class Login:
    """Who a process is to be, and what is done to become that; made by who knows first, its parent or itself."""

    __slots__ = ("account", "envp", "steps")

    def __init__(self, process: Process, account: user.User) -> None:
        self.account = account
        homed = any(entry.startswith(b"HOME=") for entry in process.env)
        self.envp = linux.strings(process.env if homed else [*process.env, b"HOME=" + account.home])
        uid, gid, groups = account.uid, account.gid, account.groups
        self.steps = [
            steps.prctl(abi.PR_SET_KEEPCAPS, 1),
            *(
                []
                if process.groupless
                else [steps.call("setgroups", len(groups), struct.pack(f"={len(groups)}I", *groups))]
            ),
            steps.call("setresgid", gid, gid, gid),
            steps.call("setresuid", uid, uid, uid),
            steps.prctl(abi.PR_SET_KEEPCAPS, 0),
            *capabilities.apply(process.capabilities, root=uid == 0),
        ]


def become(process: Process, before: Callable[[], None] | None = None) -> NoReturn:
    """Turn this process, already inside its namespaces and root, into the user's program.

    `before` is called with all its rights given up, and before the filter where that can be.
    """
    if process.personality is not None:
        linux.personality(process.personality)
    if process.memory_policy is not None:
        mempolicy.apply(process.memory_policy)
    login = Login(process, user.resolve(process.user))
    own((0, 1, 2), login.account)
    # As root first: it may lie where only root can go. A network file system may know the user only: again, below.
    entered = _enter(process, last_try=False)
    steps.carry_out(process.first)
    try:
        steps.carry_out(login.steps)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        what = {"setresuid": "uid", "setresgid": "gid"}.get(error.filename, "groups")
        raise RuntimeFailure(
            f"unable to setup user: cannot set {what} to unmapped user in user namespace", INVALID
        ) from error
    if not entered:
        _enter(process, last_try=True)
    path = process.search.find()
    if before is not None:
        before()
    if process.labels is not None:
        process.labels.apply()
    steps.carry_out(process.last)
    raise program_file.failure(path, linux.exec_file(path, process.argv, login.envp))


def execute(process: Process, environment: Strings) -> NoReturn:
    """Run the program with all rights given up already, and every descriptor marked."""
    path = process.search.find()
    raise program_file.failure(path, linux.exec_file(path, process.argv, environment))


def _first(process: Process) -> list[Step]:
    """Return what is done while it is still root, and what may as well be done then."""
    found = [*rlimits.give_back(), *rlimits.applying(process.limits)]
    if process.scheduling.asked:
        found.append(steps.python(process.scheduling.apply))
    if process.no_new_privileges:
        found.append(steps.prctl(abi.PR_SET_NO_NEW_PRIVS, 1))
    elif process.filter is not None:
        # Loading a filter needs CAP_SYS_ADMIN unless no-new-privileges is set.
        found.append(_load(process, process.filter))
    return [
        *found,
        *capabilities.drop_bounding(process.capabilities),
        steps.call("umask", process.umask),
        *DEFAULT_SIGNALS,
    ]


def _last(process: Process) -> list[Step]:
    """Return what nothing but the program may come after."""
    closed = steps.close_range(3 + process.preserve, flags=abi.CLOSE_RANGE_CLOEXEC)
    if process.no_new_privileges and process.filter is not None:
        return [_load(process, process.filter), closed]
    return [closed]


def prepares(process: Process, spec: dict[str, Any]) -> bool:
    """Say whether there is something to `prepare`."""
    return _labelled(spec) or bool(process.filter is not None and process.filter.listener)


def _labelled(spec: dict[str, Any]) -> bool:
    return bool(spec.get("apparmorProfile") or spec.get("selinuxLabel"))


def prepare(process: Process, spec: dict[str, Any], state: dict[str, Any], status: str) -> None:
    """Open what is needed of the host for the last steps, before its files are out of reach; `spec` as for Process."""
    if _labelled(spec):
        with namespaces.readable_proc():
            process.labels = labels.Labels(spec)
    if process.filter is not None and process.filter.listener:
        process.listener = listener.Listener(process.filter.listener, process.filter.metadata, state, status)


LEAVE_KEYRING: list[Step] = [
    # A kernel without keys has none to protect.
    steps.system_call("keyctl", abi.SYS_KEYCTL, abi.KEYCTL_JOIN_SESSION_KEYRING, None, tolerated=errno.ENOSYS),
    steps.system_call(
        "keyctl", abi.SYS_KEYCTL, abi.KEYCTL_SETPERM, THIS_KEYRING, SEARCHED_BY_ITS_USER, tolerated=errno.ENOSYS
    ),
]
"""Begin a session keyring that nobody else has: the one of whoever started us holds keys of the host.

The user of the program may search it, as in runc.
"""
DEFAULT_SIGNALS: list[Step] = [
    *map(steps.default_signal, IGNORED),
    steps.call("sigprocmask", signal.SIG_SETMASK, steps.NO_SIGNALS, None),
]
"""The end of all ignoring and holding back of signals."""


def _load(process: Process, filter_: Program) -> Step:
    if filter_.listener:
        return steps.python(_load_and_tell, process, filter_)
    wanted = (abi.SECCOMP_SET_MODE_FILTER, filter_.flags, linux.Filter(filter_))
    return steps.system_call("seccomp", abi.SYS_SECCOMP, *wanted)


def _load_and_tell(process: Process, filter_: Program) -> None:
    assert process.listener is not None
    process.listener.send(linux.load_seccomp(filter_, filter_.flags))


def score(value: int | None, pid: str = "self") -> list[Step]:
    """Return the setting of an OOM score, by the host's /proc.

    Without CAP_SYS_RESOURCE it cannot be lowered: then ours stays.
    """
    if value is None:
        return []
    return steps.write_file(f"/proc/{pid}/oom_score_adj".encode(), b"%d" % value, tolerated=errno.EACCES)


def own(stdio: tuple[int, int, int], account: user.User) -> None:
    """Give the user the pipes and the terminal, so that /dev/stdout can be opened; not the shared /dev/null."""
    null = os.makedev(1, 3)
    for fd in stdio:
        info = os.fstat(fd)
        if info.st_uid == account.uid or info.st_rdev == null:
            continue
        try:
            os.fchown(fd, account.uid, info.st_gid)
        except OSError as error:
            # A descriptor of a read-only file system, of a socket or of another user namespace works as it is.
            if error.errno not in (errno.EINVAL, errno.EROFS, errno.EPERM):
                raise


def _enter(process: Process, *, last_try: bool) -> bool:
    if not steps.succeeds(process.entering):
        error = steps.failure(process.cwd)
        if isinstance(error, PermissionError) and not last_try:
            return False
        raise _no_cwd(process.cwd, error)
    # A descriptor of the host left open (CVE-2024-21626) would show as a path that is not below the root.
    if not steps.folder().startswith(b"/"):
        raise RuntimeFailure("current working directory is outside of the container's root")
    return True


def _no_cwd(cwd: str, error: OSError) -> RuntimeFailure:
    return RuntimeFailure(f'chdir to cwd ("{cwd}") set in config.json failed: {reason(error)}', EXEC_DENIED)
