"""The program of the fork server, run by `client`.

    python -IS -c BOOT  <channel

The channel is a socket of whole messages (SOCK_SEQPACKET). A message is the name of a program and brings descriptors:

    lifeline         a socket. The child is killed when its other end is closed or shut for writing; how the child ended
                     is told on it by `STATUS`: the exit code, or a signal's number below zero
    0 1 2 3 4 ...    what these numbers are in the child; 3 is a file with the request, the program's one argument

The server ends with the channel, and its children end with it.
"""

import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from fcntl import F_DUPFD, fcntl
from typing import NamedTuple, NoReturn

from pydock_runtime import abi, linux

PROGRAMS = {
    "unpack": "pydock_daemon.snapshots.unpack",
    "apply": "pydock_daemon.snapshots.applying",
    "files": "pydock_daemon.files.child",
    "volumes": "pydock_daemon.volumes.child",
}
"""Modules whose `main` takes the request; importing them loads whatever the children need."""
REQUEST = 3
LONGEST_NAME = MOST_DESCRIPTORS = 16
ABOVE = 64
"""Higher than any number that a child is promised for a descriptor."""
STATUS = struct.Struct("=i")
Program = Callable[[str], None]


class Offspring(NamedTuple):
    """A child that has not been reaped."""

    pid: int
    pidfd: int
    lifeline: int


class Server:
    """Forks children, kills those that are no longer wanted, and tells how each has ended."""

    def __init__(self, channel: socket.socket, programs: dict[str, Program]) -> None:
        self._channel, self._programs = channel, programs
        self._children: dict[int, Offspring] = {}
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)

    def run(self) -> None:
        """Serve until the channel ends."""
        while True:
            for descriptor, _ in self._poll.poll():
                if child := self._children.get(descriptor):
                    self._reap(child) if descriptor == child.pidfd else self._kill(child)
                elif descriptor == self._channel.fileno() and not self._make():
                    return

    def _make(self) -> bool:
        """Make the child that the next message asks for; False when there is no message any more."""
        name, descriptors, _, _ = socket.recv_fds(self._channel, LONGEST_NAME, MOST_DESCRIPTORS)
        if not name:
            return False
        lifeline, *files = descriptors
        try:
            pid = os.fork()
        except OSError as error:
            print(f"cannot fork: {error.strerror}", file=sys.stderr)
            pid = -1
        if pid == 0:
            _become(self._programs[name.decode()], files)
        for descriptor in files:
            os.close(descriptor)
        if pid == -1:
            os.close(lifeline)
        else:
            self._keep(Offspring(pid, os.pidfd_open(pid), lifeline))
        return True

    def _keep(self, child: Offspring) -> None:
        for descriptor in (child.pidfd, child.lifeline):
            self._children[descriptor] = child
            self._poll.register(descriptor, select.POLLIN)

    def _kill(self, child: Offspring) -> None:
        self._poll.unregister(child.lifeline)
        del self._children[child.lifeline]
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)

    def _reap(self, child: Offspring) -> None:
        _, status = os.waitpid(child.pid, 0)
        with suppress(OSError):  # nobody may want to know
            os.write(child.lifeline, STATUS.pack(os.waitstatus_to_exitcode(status)))
        for descriptor in (child.pidfd, child.lifeline):
            if self._children.pop(descriptor, None):
                self._poll.unregister(descriptor)
            os.close(descriptor)


def _become(program: Program, files: list[int]) -> NoReturn:
    """Be the child: run the program with its descriptors and no others."""
    try:
        linux.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, descriptor in enumerate([fcntl(given, F_DUPFD, ABOVE) for given in files]):
            os.dup2(descriptor, number, inheritable=False)
        os.closerange(len(files), os.sysconf("SC_OPEN_MAX"))
        gc.enable()
        with open(REQUEST) as request:
            program(request.read())
    except BaseException as error:
        _describe(error)
    os._exit(1)


def _describe(error: BaseException) -> None:
    """Write where an error came from; the module traceback would look for the source below the root that is entered."""
    trace = error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        print(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}", file=sys.stderr)
        trace = trace.tb_next
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)


def main() -> None:
    """Serve the channel that standard input is."""
    linux.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    # A terminal sends its interrupt to the daemon and to this; the daemon says when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    programs = {name: importlib.import_module(module).main for name, module in PROGRAMS.items()}
    gc.collect()
    gc.disable()
    gc.freeze()
    Server(socket.socket(fileno=os.dup(0)), programs).run()
