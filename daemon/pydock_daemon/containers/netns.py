"""The network namespace of a container, entered for what the daemon itself does there. Used by `probes`, `start`.

Sockets and settings are of the namespace that a thread is in when it makes or opens them. So the event loop's own
thread enters, does it and comes back, three system calls (20 us) within which nothing else can run.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pydock_daemon.networks.model import Endpoint
from pydock_runtime import abi, linux
from pydock_shared.errors import PydockError


@contextmanager
def _entered(pid: int) -> Iterator[None]:
    """Be in the network namespace of a process; OSError when that has gone."""
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.setns(there, abi.CLONE_NEWNET)
            try:
                yield
            finally:
                linux.setns(home, abi.CLONE_NEWNET)
        finally:
            os.close(home)
    finally:
        os.close(there)


def open_socket(pid: int, family: int) -> socket.socket:
    """Return a non-blocking TCP socket in the network namespace of a process; OSError when that has gone."""
    with _entered(pid):
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def set_parameters(pid: int, endpoint: Endpoint) -> None:
    """Give the interface of an endpoint its kernel parameters, by the host's /proc; PydockError with Docker's words."""
    for name, value in endpoint.sysctls:
        above, _, parameter = name.rpartition(".")
        folder = above.rpartition(".")[0].replace(".", "/")
        try:
            with _entered(pid), open(f"/proc/sys/{folder}/{endpoint.interface}/{parameter}", "w") as file:
                file.write(value)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise PydockError(f"failed to set sysctl '{name}={value}': {reason}") from error
