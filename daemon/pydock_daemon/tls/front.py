"""The daemon's side of TLS: starts the process that speaks it, and takes in what it sends. Used by `app`."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

from .settings import Certificates

log = logging.getLogger("pydockd")
AGAIN = 1.0
"""Seconds until a process that was killed is replaced."""


class Front:
    """The listeners with TLS of one daemon; those that have been let in stay when it is closed."""

    def __init__(
        self, certificates: Certificates, listeners: Sequence[socket.socket], protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._certificates, self._listeners, self._protocol = certificates, listeners, protocol
        self._loop = asyncio.get_running_loop()
        self._taking: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._start()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        numbers = [sock.fileno() for sock in (theirs, *self._listeners)]
        command = [sys.executable, "-m", "pydock_daemon.tls.relay", str(numbers[0]), json.dumps(self._certificates)]
        with theirs:
            # A terminal sends its interrupt to the daemon and not to this.
            self._process = subprocess.Popen(
                [*command, *map(str, numbers[1:])],
                stdin=subprocess.DEVNULL,
                pass_fds=numbers,
                start_new_session=True,
            )
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel, self._take)

    def _take(self) -> None:
        """Take in a connection, or notice that the process has ended."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        except BlockingIOError:
            return
        if message:
            connection = socket.socket(fileno=descriptors[0])
            connection.set_inheritable(False)  # as it comes, programs that are started would keep it open
            task: asyncio.Task[object] = self._loop.create_task(
                self._loop.connect_accepted_socket(self._protocol, connection)
            )
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)
            return
        self._leave()
        log.error("the process that speaks TLS has ended with code %s; another is started", self._process.wait())
        self._again = self._loop.call_later(AGAIN, self._start)

    def _leave(self) -> None:
        self._loop.remove_reader(self._channel)
        self._channel.close()

    def close(self) -> None:
        """Let nobody in any more."""
        if self._again:
            self._again.cancel()
        if self._channel.fileno() >= 0:
            self._leave()
