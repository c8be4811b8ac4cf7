"""Signals: their names, and whether a process can notice one."""

import os
import signal
import subprocess
import sys

import pytest

from pydock_daemon.containers.stop import heeds, number
from pydock_shared.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "expected"),
    [("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("9", 9), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)],
)
def test_names(text, expected):
    assert number(text) == expected


@pytest.mark.parametrize("text", ["", "0", "65", "SIGNOPE", "RTMIN+x", "-1"])
def test_no_signal(text):
    with pytest.raises(InvalidArgument, match="invalid signal"):
        number(text)


@pytest.fixture
def process():
    """A process that has a handler for USR1 and blocks USR2."""
    code = (
        "import signal, sys; signal.signal(signal.SIGUSR1, print); "
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); "
        "sys.stdout.write('x'); sys.stdout.flush(); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout.read(1) == b"x"
        yield child
        child.kill()


@pytest.mark.parametrize(
    ("name", "expected"), [("SIGUSR1", True), ("SIGUSR2", True), ("SIGTERM", False), ("SIGKILL", True)]
)
def test_heeds(process, name, expected):
    assert heeds(process.pid, signal.Signals[name]) is expected


def test_a_process_that_has_gone_is_not_waited_for_in_vain():
    child = subprocess.Popen(["true"])
    child.wait()
    assert not os.path.exists(f"/proc/{child.pid}")
    assert heeds(child.pid, signal.SIGTERM) is True
