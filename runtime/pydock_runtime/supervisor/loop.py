"""Start of pydock-supervisor: `pydock-runtime supervisor --exec-root DIR`; run by pydockd, and outlives it.

In order: leave pydockd's session, be the only one (a lock that the kernel lets go of when we die), continue as a
sealed copy of the interpreter, load everything that a start needs, freeze it, serve EXEC_ROOT/supervisor.sock. A
second supervisor of the same root ends at once with exit code 0: the first one serves. Without a pydockd and without
containers it ends after two seconds. `--files` is the soft limit of descriptors of what it starts: its own is raised.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
import time

from pydock_runtime import reexec, rlimits
from pydock_runtime.supervisor import adopt, handover, protocol, upgrade
from pydock_runtime.supervisor.poller import Poller
from pydock_runtime.supervisor.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

USAGE = "usage: pydock-runtime supervisor --exec-root DIR [--files NUMBER]"
OPTIONS = {"--exec-root", "--files", "--lock-fd", "--state-fd"}
CAN_TAKE = ["--can-take", str(handover.FORMAT)]  # the question of a supervisor that this program is to follow
OOM_SCORE = "-500"  # as dockerd's; children set their own
BACKLOG = 64


def main(argv: list[str]) -> int:
    """Run the supervisor; `argv` is what follows the verb. Returns the exit code."""
    if argv == CAN_TAKE:
        return 0
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    if len(argv) % 2 or "--exec-root" not in options or not options.keys() <= OPTIONS:
        print(USAGE, file=sys.stderr)
        return 2
    exec_root = os.path.abspath(options["--exec-root"])
    rlimits.raise_files(int(options["--files"]) if "--files" in options else None)
    if "--lock-fd" not in options:
        return _detach(exec_root)
    lock = int(options["--lock-fd"])
    os.set_inheritable(lock, False)
    serve(exec_root, lock, int(options["--state-fd"]) if "--state-fd" in options else None)
    return 0


def _detach(exec_root: str) -> int:
    os.makedirs(exec_root, mode=0o711, exist_ok=True)
    if os.fork():
        return 0
    os.setsid()
    os.chdir("/")
    lock = os.open(os.path.join(exec_root, protocol.LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    _open_stdio(os.path.join(exec_root, protocol.LOG_NAME))
    os.set_inheritable(lock, True)
    own = ["--exec-root", exec_root, "--files", str(rlimits.files()), "--lock-fd", str(lock)]
    reexec.into_sealed_copy(["supervisor", *own])
    raise AssertionError("run from a sealed copy without its lock")


def _open_stdio(log: str) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd, target in ((null, 0), (null, 1), (output, 2)):
        os.dup2(fd, target)
    os.close(null)
    os.close(output)


def serve(exec_root: str, lock: int, state: int | None) -> None:
    """Serve until told to shut down; `lock` is that of `exec_root`, `state` what a program before this one has left."""
    _protect_from_oom()
    poller = Poller()
    if state is None:
        service = Service(poller, exec_root, _listen(os.path.join(exec_root, protocol.SOCKET_NAME)), lock)
        adopt.adopt(service)
    else:
        left = handover.read(state)
        service = Service(poller, exec_root, socket.socket(fileno=left["service"]["listener"]), lock)
        handover.restore(service, left)

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        # With containers the answer to SIGTERM is to stay: they would lose their output. A handler, not SIG_IGN,
        # because ignored signals stay ignored in the programs we start.
        if not service.busy:
            sys.exit(0)

    def resume(_signal: int, _frame: FrameType | None) -> None:
        # Who asked something of us while we were stopped has been told that it failed: it must not happen later.
        service.resumed_at = time.monotonic()

    signal.signal(signal.SIGCONT, resume)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, terminate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, upgrade.HELD_BACK)
    # Collections would touch, and so copy, every page in each forked child: they happen in idle moments of the parent
    # only.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        poller.run()
    finally:
        os.unlink(os.path.join(exec_root, protocol.SOCKET_NAME))
        service.close()


def _listen(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    return listener


def _protect_from_oom() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(OOM_SCORE)
    except PermissionError:
        pass  # no CAP_SYS_RESOURCE (a container, a restricted service): then we are as killable as anybody
