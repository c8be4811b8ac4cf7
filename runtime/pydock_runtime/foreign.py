"""Containers by another OCI runtime (runc, crun, ...), called by its command line. Used by the supervisor.

A helper, forked from the supervisor, does what takes time: it mounts the root in a mount namespace of its own, writes
the bundle, calls the runtime, and speaks `sync`'s language with one word more: {"pid": n} is the process that the
runtime made. That one is the supervisor's own child from then on, because the supervisor is a subreaper
(PR_SET_CHILD_SUBREAPER): it is waited for, signalled and read from like any other.

Source: the command line that runc documents and crun, youki and runsc share.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import signal
import socket

from pydock_runtime import abi, init, launch, linux, namespaces, netconf, rlimits, steps, sync, user
from pydock_runtime import spec as specs
from pydock_runtime.errors import EXEC_DENIED, EXEC_NOT_FOUND, INVALID, SYSTEM, RuntimeFailure, reason
from pydock_runtime.rootfs import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup

DEADLINE = 60  # seconds for one call of the runtime; a helper that is later is ended by SIGALRM
OCI_VERSION = "1.0.2"  # the oldest that has all we say: older runtimes refuse a newer one
ROOTS, BUNDLES = "runtimes", "bundles"  # folders of the exec root: the runtimes' own state, and ours for them
CONSOLE = "console.sock"
PID_FILE = "pid"
PROCESS_FILE = "process.json"
LOG_FILE = "log.json"
FILES = (specs.FILE, CONSOLE, PID_FILE, PROCESS_FILE, LOG_FILE)

# What runtimes say of a program that is not there, or cannot be run.
EXEC_FAILURES = (
    (EXEC_NOT_FOUND, ("executable file not found", "not found in $PATH", "no such file or directory")),
    (EXEC_DENIED, ("permission denied", "is a directory", "exec format error")),
)


class Runtime:
    """One container's runtime: the program, its arguments, and the folders below `exec_root` that are its own."""

    __slots__ = ("arguments", "bundle", "container", "name", "path", "root")

    def __init__(self, settings: dict[str, Any], exec_root: str, container: str) -> None:
        """`settings`: {"name", "path", "args"}. Raises RuntimeFailure when a name cannot be one of a folder."""
        self.name: str = settings["name"]
        if "/" in self.name or self.name.startswith("."):
            raise RuntimeFailure(f"not a runtime's name: {self.name!r}", INVALID)
        self.path: str = settings["path"]
        self.arguments: list[str] = list(settings.get("args") or ())
        self.container = container
        self.root = os.path.join(exec_root, ROOTS, self.name)
        self.bundle = os.path.join(exec_root, BUNDLES, container)

    def create(
        self,
        spec: dict[str, Any],
        *,
        stdio: tuple[int, int, int] | None,
        overlay: dict[str, Any] | None,
        cgroup: Cgroup,
    ) -> launch.Child:
        """Begin a container; messages as for `launch.spawn`. The child is the helper until it says whose pid it is."""
        spec = {**spec, "linux": {**spec["linux"], "cgroupsPath": cgroup.path}}
        return fork(lambda channel: _create(self, spec, overlay, channel, stdio), stdio, cgroup)

    def exec(
        self, pid: int, process: dict[str, Any], *, stdio: tuple[int, int, int] | None, cgroup: Cgroup
    ) -> launch.Child:
        """Begin a further process beside process `pid`; messages as for `join.spawn_exec`, with the pid first."""
        return fork(lambda channel: _exec(self, pid, process, channel, stdio), stdio, cgroup)

    def delete(self) -> int:
        """Let the runtime forget the container, killing what is left; returns the pidfd of the helper that does it."""
        pid, pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
        if pid == 0:
            _delete(self)
        return pidfd

    def call(self, *arguments: str, stdio: tuple[int, int, int] | None = None) -> None:
        """Call the runtime and wait. RuntimeFailure: what it has written to its log."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(LOG_FILE))
        words = [self.path, *self.arguments, "--root", self.root, "--log", self.file(LOG_FILE), "--log-format", "json"]
        pid = os.fork()
        if pid == 0:
            _become([*words, *arguments], stdio, self.bundle)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            raise _failure(self, status)

    def file(self, name: str) -> str:
        """Return the path of a file of the bundle."""
        return os.path.join(self.bundle, name)


def fork(story: Callable[[socket.socket], None], stdio: tuple[int, int, int] | None, cgroup: Cgroup) -> launch.Child:
    """Let a helper tell a story, which speaks `sync`'s language on the channel that it gets."""
    ours, theirs = sync.pair()
    with theirs, contextlib.ExitStack() as undo:
        undo.enter_context(ours)
        pid, pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
        if pid == 0:
            _help(story, theirs, stdio)
        undo.pop_all()
    return launch.Child(pid, pidfd, ours, cgroup)


class _Told:
    __slots__ = ("sync",)

    def __init__(self, channel: socket.socket) -> None:
        self.sync = channel


def _help(
    story: Callable[[socket.socket], None], channel: socket.socket, stdio: tuple[int, int, int] | None
) -> NoReturn:
    def whole() -> NoReturn:
        init.forget_parent(channel, kept=stdio or ())
        story(channel)
        os._exit(0)

    init.run(_Told(channel), whole)


def _create(
    runtime: Runtime,
    spec: dict[str, Any],
    overlay: dict[str, Any] | None,
    channel: socket.socket,
    stdio: tuple[int, int, int] | None,
) -> None:
    _open_bundle(runtime)
    with contextlib.suppress(RuntimeFailure):
        # One of that name can be left of a supervisor that was killed.
        if os.path.exists(os.path.join(runtime.root, runtime.container)):
            runtime.call("delete", "--force", runtime.container)
    own_network = specs.owns(spec, "network")
    _write_json(runtime.file(specs.FILE), _bundled(spec, _mount_root(spec, overlay)))
    pid = _make(runtime, channel, stdio, "create", "--bundle", runtime.bundle)
    message, _ = sync.receive(channel)
    if message is None:
        runtime.call("delete", "--force", runtime.container)
        return
    if own_network:
        _apart(lambda: _configure(pid, message["interfaces"]))
    _within_deadline(lambda: runtime.call("start", runtime.container))


def _exec(
    runtime: Runtime,
    pid: int,
    process: dict[str, Any],
    channel: socket.socket,
    stdio: tuple[int, int, int] | None,
) -> None:
    """Run in a folder of its own: several execs can begin at once."""
    runtime.bundle = os.path.join(runtime.bundle, f"exec-{os.getpid()}")
    os.makedirs(runtime.bundle, mode=0o700)
    try:
        _write_json(runtime.file(PROCESS_FILE), _resolved(process, f"/proc/{pid}/root"))
        _make(runtime, channel, stdio, "exec", "--detach", "--process", runtime.file(PROCESS_FILE))
    finally:
        _remove_bundle(runtime)


def _make(
    runtime: Runtime, channel: socket.socket, stdio: tuple[int, int, int] | None, verb: str, *arguments: str
) -> int:
    """Let the runtime make a process; tell its pid and hand over its terminal. Returns the pid."""
    words = [verb, *arguments, "--pid-file", runtime.file(PID_FILE)]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_console_listener(runtime)) if stdio is None else None
        if listener:
            words += ["--console-socket", CONSOLE]
        _within_deadline(lambda: runtime.call(*words, runtime.container, stdio=stdio))
        with open(runtime.file(PID_FILE), encoding="ascii") as file:
            pid = int(file.read())
        console = _console(listener) if listener else None
    message = {"pid": pid} if verb == "exec" and console is None else {"pid": pid, "ready": True}
    sync.send(channel, message, () if console is None else (console,))
    if console is not None:
        os.close(console)
    for fd in set(stdio or ()):
        # Else a container that has ended would seem to go on writing for as long as this helper lives.
        os.close(fd)
    return pid


def _delete(runtime: Runtime) -> NoReturn:
    status = init.FAILED  # the supervisor says so in its log
    try:
        linux.close_all_but([])
        _open_bundle(runtime)
        try:
            _within_deadline(lambda: runtime.call("delete", "--force", runtime.container))
            status = 0
        finally:
            _remove_bundle(runtime)
    finally:
        os._exit(status)


def _open_bundle(runtime: Runtime) -> None:
    """Make the folder, and be the only helper in it until this process ends (the lock goes with it)."""
    os.makedirs(runtime.root, mode=0o700, exist_ok=True)
    while True:
        os.makedirs(runtime.bundle, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder = os.open(runtime.bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(folder, fcntl.LOCK_EX)
            if os.fstat(folder).st_nlink:  # 0: removed by whom we waited for
                return
            os.close(folder)


def _remove_bundle(runtime: Runtime) -> None:
    for name in FILES:
        with contextlib.suppress(OSError):
            os.unlink(runtime.file(name))
    with contextlib.suppress(OSError):
        os.rmdir(runtime.bundle)


def _mount_root(spec: dict[str, Any], overlay: dict[str, Any] | None) -> str:
    """Mount the layers where only this helper and what the runtime makes of it see them; return where."""
    for mount in spec.get("mounts") or ():
        if {"shared", "rshared"} & set(mount.get("options") or ()):
            raise RuntimeFailure(f"{mount['destination']}: shared propagation needs pydock's own runtime", INVALID)
    if overlay is None:
        return str(spec["root"]["path"])
    linux.unshare(abi.CLONE_NEWNS)
    linux.mount(None, "/", None, abi.MS_REC | abi.MS_SLAVE)
    return os.path.join(overlay["base"], prepare.mount_overlay(overlay))


def _bundled(spec: dict[str, Any], root: str) -> dict[str, Any]:
    """Return the spec as the specification has it: the root by its path, the user by numbers."""
    process = _resolved(spec["process"], root)
    return {**spec, "ociVersion": OCI_VERSION, "root": {**spec["root"], "path": root}, "process": process}


def _resolved(process: dict[str, Any], root: str) -> dict[str, Any]:
    """Return a process whose user is numbers, by the passwd file below a root, and who has a HOME."""
    found = _apart(lambda: _look_up(process.get("user") or {}, root))
    env = list(process.get("env") or ())
    if not any(entry.startswith("HOME=") for entry in env):
        env.append("HOME=" + found["home"])
    numbers = {"uid": found["uid"], "gid": found["gid"], "additionalGids": found["groups"]}
    return {**process, "user": numbers, "env": env}


def _look_up(wanted: dict[str, Any], root: str) -> dict[str, Any]:
    """Read the image's files as the image has them: with its root as ours, no link in it leads out."""
    os.chroot(root)
    os.chdir("/")
    account = user.resolve(wanted)
    return {"uid": account.uid, "gid": account.gid, "groups": account.groups, "home": os.fsdecode(account.home)}


def _configure(pid: int, interfaces: list[dict[str, Any]]) -> dict[str, Any]:
    namespaces.enter(f"/proc/{pid}/ns/net", abi.CLONE_NEWNET)
    netconf.configure(interfaces)
    return {}


def _apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do something that changes this process's view of the world in a child, and return its result."""
    ours, theirs = sync.pair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:

            def story() -> NoReturn:
                sync.send(theirs, work())
                os._exit(0)

            init.run(_Told(theirs), story)
        theirs.close()
        message, _ = sync.receive(ours)
        os.waitpid(pid, 0)
    if message is None:
        raise RuntimeFailure("a helper of the container's start died")
    if "error" in message:
        raise RuntimeFailure(message["error"]["message"], message["error"]["kind"])
    return message


def _console_listener(runtime: Runtime) -> socket.socket:
    """Listen in the current folder: a path could be longer than an address of a socket may be."""
    os.chdir(runtime.bundle)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(CONSOLE)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(CONSOLE)
    listener.listen(1)
    listener.settimeout(DEADLINE)
    return listener


def _console(listener: socket.socket) -> int:
    sender, _ = listener.accept()
    with sender:
        _, control, _, _ = sender.recvmsg(4096, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return array.array("i", payload[:4])[0]
    raise RuntimeFailure("the runtime has sent no terminal")


def _within_deadline(call: Callable[[], None]) -> None:
    signal.alarm(DEADLINE)
    call()
    signal.alarm(0)


def _become(words: list[str], stdio: tuple[int, int, int] | None, folder: str) -> NoReturn:
    """Be the runtime's program; it goes with its helper."""
    try:
        linux.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        steps.carry_out(rlimits.give_back())
        os.chdir(folder)
        init.set_stdio(stdio or (null := os.open("/dev/null", os.O_RDWR), null, null))
        linux.close_range(3, 0xFFFFFFFF, abi.CLOSE_RANGE_CLOEXEC)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execv(words[0], words)
    except OSError as error:
        with open(words[words.index("--log") + 1], "w", encoding="utf-8") as file:
            json.dump({"level": "error", "msg": f"{words[0]}: {reason(error)}"}, file)
    finally:
        os._exit(127)


def _failure(runtime: Runtime, status: int) -> RuntimeFailure:
    """Make an error of the last one in the runtime's log."""
    said = f"{runtime.name} ended with status {os.waitstatus_to_exitcode(status)}"
    with contextlib.suppress(OSError), open(runtime.file(LOG_FILE), encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if record.get("level") in ("error", "fatal") and record.get("msg"):
                    said = record["msg"].strip()
    kind = SYSTEM
    if "exec" in said or "executable" in said:
        kind = next((kind for kind, words in EXEC_FAILURES if any(word in said.lower() for word in words)), SYSTEM)
    return RuntimeFailure(f"OCI runtime {runtime.name}: {said}", kind)


def _write_json(path: str, value: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
