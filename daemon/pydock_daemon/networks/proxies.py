"""Processes for published ports that the rules cannot lead to a container. Used by `service`.

The kernel routes nothing that was translated back to ::1, and translates nothing between IPv4 and IPv6. Such a port has
a process (`proxy`), as every port of dockerd's has one. It outlives this daemon; the name of its control socket, in the
network namespace's list of names, says whose it is and which port it serves.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path

from pydock_shared.errors import NotSupported

from .model import Published

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PASSED = (100, 101)
"""The descriptors of listener and control in the process."""
BACKLOG = 128
PATIENCE = 2.0
"""Seconds until a process that was told to end must have let go of its port."""


class Proxies:
    """The processes of one daemon."""

    def __init__(self, table: str) -> None:
        self._mark = f"{table} proxy"
        self._children: dict[str, int] = {}
        """The process ids of those that this daemon has started, by their names."""

    def start(self, ports: Iterable[Published]) -> None:
        """Serve ports, all or none. OSError when one cannot be had."""
        with ExitStack() as undo:
            for port in ports:
                self._start(port)
                undo.callback(self.stop, [port])
            undo.pop_all()

    def _start(self, port: Published) -> None:
        if port.proto not in KINDS:
            raise NotSupported(f"publishing of {port.proto} on {port.host_ip} is not supported")
        with ExitStack() as stack:
            control = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            control.bind("\0" + self._name(port))
            control.listen()
            listener = stack.enter_context(socket.socket(socket.AF_INET6, KINDS[port.proto]))
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if port.proto == "tcp":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((port.host_ip, port.host_port))
            if port.proto == "tcp":
                listener.listen(BACKLOG)
            command = [sys.executable, "-m", "pydock_daemon.networks.proxy", self._mark, port.proto]
            command += [*map(str, PASSED), port.address, str(port.port)]
            # Ours may be of those numbers, and a descriptor that is laid upon another closes it.
            moved = [fcntl(end.fileno(), F_DUPFD_CLOEXEC, PASSED[-1] + 1) for end in (listener, control)]
            for number in moved:
                stack.callback(os.close, number)
            self._children[self._name(port)] = os.posix_spawn(
                sys.executable,
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, number, place) for number, place in zip(moved, PASSED, strict=True)
                ],
                setsid=True,  # a terminal sends its interrupt to the daemon and not to this
            )

    def stop(self, ports: Iterable[Published]) -> None:
        """Serve ports no longer; they are free afterwards."""
        for port in ports:
            self._end(self._name(port))

    def settle(self, ports: Iterable[Published]) -> None:
        """Serve these ports and no others, whatever a daemon before has left."""
        wanted = {self._name(port): port for port in ports}
        running = set(self._running())
        for name in running - set(wanted):
            self._end(name)
        self.start([port for name, port in wanted.items() if name not in running])

    def _name(self, port: Published) -> str:
        return f"{self._mark} {port.proto} {port.host_ip} {port.host_port} {port.address} {port.port}"

    def _running(self) -> list[str]:
        """Return the names that processes of ours have; proc_net(5): a name that begins with a null is shown by `@`."""
        found = []
        for line in Path("/proc/net/unix").read_text(errors="replace").splitlines():
            name = line.partition(" @")[2]
            if name.startswith(self._mark + " "):
                found.append(name)
        return found

    def _end(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller, suppress(OSError):
            caller.settimeout(PATIENCE)
            caller.connect("\0" + name)
            caller.recv(1)
