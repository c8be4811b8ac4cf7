"""A container of the verbs, from a bundle to a process at its gate and on; what several verbs do. Used by `verbs`.

The supervisor has containers of its own. Here nobody stays behind: the gate is a socket in the state folder, and init's
parent is whoever called, or the nearest subreaper.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import time

from pydock_runtime import abi, capabilities, cgroup, hooks, launch, resctrl, rules, seccomp, state, sync
from pydock_runtime import rootless as users
from pydock_runtime import spec as specs
from pydock_runtime.cgroup import systemd as scopes
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.state import CREATED, PAUSED, RUNNING, STOPPED, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pydock_runtime.cgroup import Cgroup
    from pydock_runtime.seccomp import Program

NOT_RUNNING = "container not running"
"""runc's words: containerd knows by them that a signal came too late."""
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
NOT_STARTED = {
    STOPPED: "cannot start a container that has stopped",
    RUNNING: "cannot start an already running container",
}
PATIENCE = 10.0
"""Seconds that killed processes have to be gone."""


def status(record: Record) -> str:
    """Return the status of a container, by what the kernel shows."""
    if not record.alive():
        return STOPPED
    if os.path.exists(f"{record.folder}/{state.GATE}"):
        return CREATED
    return PAUSED if group(record).frozen() else RUNNING


def group(record: Record) -> Cgroup:
    """Return the container's cgroup, or what it has instead of one."""
    return cgroup.open_existing(record.cgroup) if record.cgroup else cgroup.none(record.pid)


def require(record: Record, *allowed: str, otherwise: str) -> None:
    """Raise RuntimeFailure, in the words that engines know of runc, unless the container is in one of these states."""
    now = status(record)
    if now not in allowed:
        raise RuntimeFailure(otherwise.format(id=record.id, status=now), INVALID)


def program_of(spec: dict[str, Any]) -> Program | None:
    """Return the compiled seccomp profile of a spec, None without one."""
    profile = spec.get("linux", {}).get("seccomp")
    return seccomp.compile_profile(profile) if profile else None


def create(
    root: str, id: str, bundle: str, *, preserve: int, keyring: bool, pivot: bool, systemd: bool, rootless: str = ""
) -> tuple[Record, launch.Child]:
    """Make a container that stands at its gate. Its terminal, if it has one, is in the child.

    With `systemd` its cgroup is a scope of systemd; `rootless` is the option of that name; the others are those of
    `launch.spawn`. RuntimeFailure or OSError leave nothing behind.
    """
    with making(root, id, bundle, systemd=systemd, rootless=rootless) as (record, made, undo):
        with _listen(record.folder) as gate:
            child = launch.spawn(
                _as_possible(record.spec),
                stdio=None if record.spec["process"].get("terminal") else (0, 1, 2),
                overlay=None,
                program=program_of(record.spec),
                cgroup=made,
                id=id,
                bundle=record.bundle,
                gate=gate,
                preserve=preserve + listeners(),
                keyring=keyring,
                pivot=pivot,
            )
        undo.callback(_forget_share, record)
        undo.callback(kill, child)
        await_ready(child, record)
        record.pid = child.pid
    return record, child


def listeners() -> int:
    """Return how many sockets we were given, from descriptor 3 on, for a program to listen on; sd_listen_fds(3)."""
    count = os.environ.get("LISTEN_FDS", "")
    return int(count) if count.isdigit() and os.environ.get("LISTEN_PID") == str(os.getpid()) else 0


def _as_possible(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec whose process has no more rights than can be given, and is told of those sockets."""
    count, process = listeners(), granted(spec["process"])
    if count:
        process = {**process, "env": [*(process.get("env") or ()), f"LISTEN_FDS={count}", "LISTEN_PID=1"]}
    return {**spec, "process": process}


def granted(process: dict[str, Any]) -> dict[str, Any]:
    """Return a `process` that has each variable once, and no capability that cannot be given; a warning names those."""
    process = {**process, "env": _each_once(process.get("env") or ())}
    sets, missing = capabilities.grantable(process.get("capabilities") or {})
    if not missing:
        return process
    warn(f"ignoring unknown or unavailable capabilities: {' '.join(missing)}")
    return {**process, "capabilities": sets}


def _each_once(environment: Iterable[str]) -> list[str]:
    """Return variables with their last value, as runc passes them on: of two most programs would see the first."""
    last = {entry.partition("=")[0]: entry for entry in environment}
    return list(last.values())


GONE = ("kernel", "kernelTCP")
"""Limits of memory that kernels had; runc passes over them with a warning, too."""
NO_SUCH_LIMIT = "the kernel has no such limit any more"


def warn(message: str) -> None:
    """Tell whoever looks on something that keeps nobody from going on."""
    print(f"pydock-runtime: warning: {message}", file=sys.stderr)


@contextlib.contextmanager
def making(
    root: str, id: str, bundle: str, *, systemd: bool, rootless: str = "false"
) -> Iterator[tuple[Record, Cgroup, contextlib.ExitStack]]:
    """Give a new container's record and cgroup to whoever puts an init into it and writes its pid into the record.

    The record is saved at the end. A failure undoes all that was made, what is on the stack first.
    """
    state.folder(root, id)  # which refuses what is no id
    bundle = os.path.abspath(bundle)
    spec = specs.load(bundle)
    specs.check(spec)
    rules.check(spec)
    rules.settle(spec)
    resources = spec.get("linux", {}).get("resources") or {}
    for name in GONE:
        if (resources.get("memory") or {}).get(name):
            warn(f"memory.{name} is ignored: {NO_SUCH_LIMIT}")
    path = spec.get("linux", {}).get("cgroupsPath") or ""
    unit = scopes.Unit(path, id) if systemd else None
    record = Record(root, id, bundle=bundle, cgroup=unit.path if unit else _cgroup_path(path or id), created=_now(),
                    spec=spec, unit=unit.name if unit else "")  # fmt: skip
    with contextlib.ExitStack() as undo:
        os.makedirs(root, 0o700, exist_ok=True)
        try:
            os.mkdir(record.folder, 0o700)
        except FileExistsError as error:
            raise RuntimeFailure("container with given ID already exists", INVALID) from error
        undo.callback(state.remove, record.folder)
        around = undo.enter_context(contextlib.ExitStack())
        if unit:
            undo.callback(scopes.stop, unit.name)
            around.enter_context(scopes.scope(unit, id, resources))
        made = _cgroup(record, resources, named=bool(path), rootless=rootless)
        undo.callback(run_last_hooks, record)
        undo.callback(_remove, made, around)
        yield record, made, undo
        around.close()
        record.start_time = state.process_state(record.pid)[1]
        record.save()
        undo.pop_all()


def _remove(made: Cgroup, around: contextlib.ExitStack) -> None:
    """Undo a cgroup: who keeps it alive goes first."""
    around.close()
    made.remove()


def _cgroup(record: Record, resources: dict[str, Any], *, named: bool, rootless: str) -> Cgroup:
    """Make the container's cgroup; where it names none, and whose it is may make none, it goes without."""
    try:
        return cgroup.create(record.cgroup, resources)
    except OSError as error:
        if named or error.errno not in NOT_ALLOWED or not users.without_cgroup(rootless):
            raise
    record.cgroup = ""
    made = cgroup.none()
    made.update(resources)
    return made


def _cgroup_path(path: str) -> str:
    if ":" in path:
        raise RuntimeFailure(f"cgroupsPath {path!r} is for the systemd driver: --systemd-cgroup is missing", INVALID)
    return path if path.startswith("/") else f"/{path}"


def _now() -> str:
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


def _listen(folder: str) -> socket.socket:
    gate = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _short(folder) as path:
        gate.bind(path)
    gate.listen(1)
    return gate


@contextlib.contextmanager
def _short(folder: str) -> Iterator[str]:
    """Give a name for the gate that fits into the 108 bytes of a socket's address, however deep the root is."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{state.GATE}"
    finally:
        os.close(fd)


def await_ready(child: launch.Child, record: Record | None = None) -> None:
    """Wait until a child says that it is ready; RuntimeFailure with what it says instead.

    Meanwhile run the hooks of the container in `record`, for which its init waits.
    """
    message = launch.receive(child)
    if message and "hooks" in message and record is not None:
        run_creating_hooks(record, child.pid)
        launch.go_on(child)
        message = launch.receive(child)
    if message is None:
        raise RuntimeFailure("container init died before it was ready")
    raise_error(message)


def raise_error(message: dict[str, Any] | None) -> None:
    """Raise RuntimeFailure for a message that is an error."""
    if message and "error" in message:
        raise RuntimeFailure(message["error"]["message"], message["error"]["kind"])


def start(record: Record) -> None:
    """Let a created container run its program; RuntimeFailure when that cannot be run."""
    now = status(record)
    if now != CREATED:
        raise RuntimeFailure(NOT_STARTED.get(now, f"cannot start a container in the {now} state"), INVALID)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        with _short(record.folder) as path:
            channel.connect(path)
        sync.send(channel, {"interfaces": []})
        try:
            message, _ = sync.receive(channel)
        except ConnectionResetError:
            message = None
    os.unlink(f"{record.folder}/{state.GATE}")
    raise_error(message)
    try:
        run_hooks(record, hooks.RUNNING, record.pid, hooks.POSTSTART)
    except RuntimeFailure:
        # As in runc: a container whose surroundings are not as they were ordered does not go on.
        with contextlib.suppress(RuntimeFailure):  # it has ended by itself
            send_signal(record, signal.SIGKILL)
        raise


def run_creating_hooks(record: Record, pid: int) -> None:
    """Run the hooks for which an init waits that has its namespaces, and nothing in them."""
    run_hooks(record, hooks.CREATING, pid, *hooks.OUTSIDE)


def run_hooks(record: Record, status: str, pid: int, *kinds: str) -> None:
    """Run a container's hooks of some kinds on the host; RuntimeFailure for one that fails."""
    entries = hooks.of(record.spec, *kinds)
    if not entries:
        return
    known = hooks.state(record.spec, id=record.id, bundle=record.bundle)
    failure = hooks.Runner(entries, known, status, pid).result()
    if failure is not None:
        raise RuntimeFailure(failure)


def run_last_hooks(record: Record) -> None:
    """Run the hooks of a container that is gone. Each is, whatever became of the one before; a failure is told."""
    for entry in hooks.of(record.spec, hooks.POSTSTOP):
        known = hooks.state(record.spec, id=record.id, bundle=record.bundle)
        failure = hooks.Runner([entry], known, hooks.STOPPED, 0).result()
        if failure is not None:
            warn(failure)


def send_signal(record: Record, number: int) -> None:
    """Signal init, and nobody who got its pid since."""
    try:
        pidfd = os.pidfd_open(record.pid)
    except ProcessLookupError:
        raise RuntimeFailure(NOT_RUNNING, INVALID) from None
    try:
        if not record.alive():
            raise RuntimeFailure(NOT_RUNNING, INVALID)
        signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def kill(child: launch.Child) -> None:
    """End a child of ours that is not to go on."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
    reap(child)


def reap(child: launch.Child) -> int:
    """Wait for a child of ours and close what belongs to it; return its exit code as a shell shows it."""
    result = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | abi.WALL)
    os.close(child.pidfd)
    child.sync.close()
    if result is None:
        return 255
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def destroy(record: Record) -> None:
    """Kill what is left of a container, then remove its cgroup and state; RuntimeFailure when processes do not die."""
    left = group(record)
    deadline = time.monotonic() + PATIENCE
    while True:
        left.kill()
        if left.frozen():
            left.thaw()
        try:
            left.remove()
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise RuntimeFailure(f"container {record.id}: processes are left: {left.pids()}") from error
            time.sleep(0.01)
    if record.unit:
        scopes.stop(record.unit)
    _forget_share(record)
    state.remove(record.folder)
    run_last_hooks(record)


def _forget_share(record: Record) -> None:
    """Remove the container's own group of resctrl, if it has asked for one."""
    asked = record.spec.get("linux", {}).get("intelRdt")
    if asked is not None:
        resctrl.remove(record.id, asked)


def write_pid_file(path: str, pid: int) -> None:
    """Write a process id where the caller looks for it; it appears complete."""
    if not path:
        return
    with open(f"{path}.tmp", "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(f"{path}.tmp", path)
