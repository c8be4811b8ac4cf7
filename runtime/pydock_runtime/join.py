"""A further process in a running container (`exec`). Used by the supervisor and the verb.

A helper enters the container's namespaces and forks with CLONE_PARENT, so that the new process is in its pid namespace
and still our child.
"""

from __future__ import annotations

import os
import signal

from pydock_runtime import abi, credentials, init, launch, linux, namespaces, sync, terminal
from pydock_runtime.errors import SYSTEM, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

    from pydock_runtime.cgroup import Cgroup


def spawn_exec(
    pid: int,
    process: dict[str, Any],
    *,
    stdio: tuple[int, int, int] | None,
    cgroup: Cgroup,
    program: bytes | None,
    spec: dict[str, Any],
) -> launch.Child:
    """Fork a process into the namespaces of process `pid`; messages as for `launch.spawn`, without a gate."""
    wanted = credentials.Process(process, program)
    ours, theirs = sync.pair()
    target = linux.pidfd_open(pid)
    try:
        helper, helper_pidfd = linux.clone3(0, exit_signal=signal.SIGCHLD)
        if helper == 0:
            _helper(target, theirs, wanted, process, stdio)
        os.close(helper_pidfd)
        new, pidfd = launch.adopt(helper, ours)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        os.close(target)
    child = launch.Child(new, pidfd, ours, cgroup)
    launch.admit(child)
    return child


def _helper(
    target: int,
    theirs: socket.socket,
    wanted: credentials.Process,
    process: dict[str, Any],
    stdio: tuple[int, int, int] | None,
) -> NoReturn:
    try:
        linux.setns(target, namespaces.JOINED)
        pid, _ = linux.clone3(abi.CLONE_PARENT, exit_signal=0)
    except OSError as error:
        init.report(theirs, SYSTEM, f"joining the container's namespaces: {error.strerror}")
        os._exit(1)
    if pid == 0:
        _main(theirs, wanted, process, stdio)
    sync.send(theirs, {"pid": pid})
    os._exit(0)


def _main(
    channel: socket.socket, wanted: credentials.Process, process: dict[str, Any], stdio: tuple[int, int, int] | None
) -> NoReturn:
    try:
        linux.close_all_but((channel.fileno(), *(stdio or ())))
        init.wait_for(channel, "go")
        os.setsid()
        if stdio is None:
            master, slave = terminal.open_pair(process.get("consoleSize"))
            terminal.adopt(slave)
            os.close(slave)
            sync.send(channel, {"ready": True}, (master,))
            os.close(master)
        else:
            for number, fd in enumerate(stdio):
                os.dup2(fd, number)
        credentials.become(wanted)
    except RuntimeFailure as error:
        init.report(channel, error.kind, error.message)
    except OSError as error:
        init.report(channel, SYSTEM, f"{error.filename or 'exec'}: {error.strerror or error}")
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into its parent's code
        init.report(channel, SYSTEM, f"exec: {type(error).__name__}: {error}")
    os._exit(1)
