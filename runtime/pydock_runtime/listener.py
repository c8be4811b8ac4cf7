"""Seccomp's listener: who decides about a container's system calls, told by a host's socket. Used by `credentials`.

Runtime-spec 1.2, config-linux.md, "The Container Process State": one message with the state, and the descriptor.
"""

from __future__ import annotations

import array
import json
import os
import socket

from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Listener:
    """A connection to the agent, made while the host's files are there, and what it is told."""

    __slots__ = ("_message", "_sock")

    def __init__(self, path: str, metadata: str, state: dict[str, Any], status: str) -> None:
        """RuntimeFailure when nobody listens at the path."""
        # The host's /proc names us as the host does.
        pid = int(os.readlink("/proc/self"))
        known = {**state, "status": status, "pid": pid}
        shown = {"ociVersion": state.get("ociVersion", ""), "fds": ["seccompFd"], "pid": pid, "metadata": metadata}
        self._message = json.dumps({**shown, "state": known}).encode()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.connect(path)
        except OSError as error:
            self._sock.close()
            raise RuntimeFailure(f"seccomp listener {path}: {reason(error)}", INVALID) from error

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._sock.fileno()

    def send(self, fd: int) -> None:
        """Give the agent the descriptor of a filter; closes both."""
        with self._sock:
            self._sock.sendmsg([self._message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)
