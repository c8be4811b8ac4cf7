"""Replacing the supervisor's program while its containers run: the same process goes on with it. Used by service.

The program that is to follow is tried first: a child loads it and says whether it can read the state. Then no requests
are taken any more, what is under way is let come to its end, and the process executes the new program with the state
and every descriptor. Whatever fails before that leaves the old one at work. A client notices a pause of the time that
an interpreter takes to start.
"""

from __future__ import annotations

import os
import signal
import time
from select import EPOLLIN

from pydock_runtime import reexec, rlimits
from pydock_runtime.supervisor import handover, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_runtime.supervisor.connection import Request
    from pydock_runtime.supervisor.service import Service

PATIENCE = 10.0  # seconds for everything to settle
LOOK_AGAIN = 0.01
HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCONT)
"""Signals that would end the new program before it has its handlers."""


class Upgrade:
    """One attempt; `request` says which program: `python`, `home` and `folder`, see reexec."""

    __slots__ = ("_deadline", "_program", "_request", "_service")

    def __init__(self, service: Service, request: Request) -> None:
        fields = request.fields
        self._service = service
        self._request = request
        self._program = reexec.Program(fields["python"], fields["home"], fields["folder"])
        self._deadline = 0.0

    def begin(self) -> None:
        """Try the program; it answers the request, unless something fails. Raises OSError."""
        program, poller = self._program, self._service.poller
        command = program.command(["supervisor", "--can-take", str(handover.FORMAT)])
        pid = os.posix_spawn(program.python, command, program.environment())
        pidfd = os.pidfd_open(pid)

        def ended(_events: int) -> None:
            poller.forget(pidfd)
            os.close(pidfd)
            try:
                _, status = os.waitpid(pid, 0)
            except ChildProcessError:  # the sweep for orphans came first, see runtimes
                status = -1
            self._tried(works=status == 0)

        poller.watch(pidfd, EPOLLIN, ended)

    def _tried(self, *, works: bool) -> None:
        if not works:
            self._refuse("the program that is to follow does not work or cannot take over, see supervisor.log")
            return
        self._service.hold(held=True)
        self._deadline = time.monotonic() + PATIENCE
        self._settle()

    def _settle(self) -> None:
        if self._service.settled:
            try:
                self._become()
            except OSError as error:
                self._refuse(f"{error.filename or self._program.python}: {error.strerror}")
        elif time.monotonic() > self._deadline:
            self._refuse("containers are being started or ended without a pause")
        else:
            self._service.poller.after(LOOK_AGAIN, self._settle)

    def _refuse(self, why: str) -> None:
        self._service.upgrading = False
        self._service.hold(held=False)
        self._request.refuse(protocol.CONFLICT, f"the supervisor stays as it is: {why}")

    def _become(self) -> None:
        data, fds = handover.pack(self._service, self._request)
        state = handover.into_file(data)
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        passed = [*fds, state, self._service.lock]
        try:
            for fd in passed:
                os.set_inheritable(fd, True)
            own = ["--exec-root", self._service.exec_root, "--files", str(rlimits.files())]
            own += ["--lock-fd", str(self._service.lock), "--state-fd", str(state)]
            self._program.execute(["supervisor", *own])
        finally:
            for fd in passed:
                os.set_inheritable(fd, False)
            os.close(state)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
