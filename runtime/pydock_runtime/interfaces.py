"""A helper that enters a network namespace and configures what is there. Used by join and netdevices."""

from __future__ import annotations

import os

from pydock_runtime import abi, init, linux, netconf, sync
from pydock_runtime.errors import RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn


class _Work:
    __slots__ = ("sync",)

    def __init__(self, channel: socket.socket) -> None:
        self.sync = channel


def configure(target: int, interfaces: list[dict[str, Any]]) -> None:
    """Configure interfaces of a network namespace, as `netconf.configure` does; waits, some 2 ms.

    `target` is a descriptor of the namespace, or the pidfd of a process that is in it. RuntimeFailure says which
    interface cannot be, or that the process has gone.
    """
    ours, theirs = sync.pair()
    with ours, theirs:
        child, pidfd = linux.clone3(0, exit_signal=0)
        if child == 0:
            work = _Work(theirs)
            init.run(work, lambda: _configure(work, target, interfaces))
        theirs.close()
        message, _ = sync.receive(ours)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | abi.WALL)
        os.close(pidfd)
    if message is None:
        raise RuntimeFailure("the helper that configures interfaces died")
    if "error" in message:
        raise RuntimeFailure(message["error"]["message"], message["error"]["kind"])


def _configure(work: _Work, target: int, interfaces: list[dict[str, Any]]) -> NoReturn:
    init.forget_parent(work.sync, kept=(target,))
    linux.setns(target, abi.CLONE_NEWNET)
    netconf.configure(interfaces)
    sync.send(work.sync, {"ready": True})
    os._exit(0)
