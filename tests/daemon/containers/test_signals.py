"""Signals: their names, and whether a process can notice one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.fixtures.engine import eventually

from pydock_daemon.containers.signals import heeds, number
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
    """A process that has a handler for USR1, blocks USR2 and ignores HUP."""
    code = (
        "import signal, sys; signal.signal(signal.SIGUSR1, print); "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); "
        "sys.stdout.write('x'); sys.stdout.flush(); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout.read(1) == b"x"
        yield child
        child.kill()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("SIGUSR1", True), ("SIGUSR2", True), ("SIGTERM", True), ("SIGHUP", False), ("SIGKILL", True)],
)
def test_heeds(process, name, expected):
    assert heeds(process.pid, signal.Signals[name]) is expected


def test_a_process_that_has_gone_is_not_waited_for_in_vain():
    child = subprocess.Popen(["true"])
    child.wait()
    assert not os.path.exists(f"/proc/{child.pid}")
    assert heeds(child.pid, signal.SIGTERM) is True


@pytest.mark.root
def test_the_first_process_of_a_namespace_hears_what_it_has_a_handler_for():
    script = "trap : USR1; echo x; read line"
    with subprocess.Popen(
        ["unshare", "--fork", "--pid", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout.read(1) == b"x"
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children") as file:
            first = int(file.read())
        assert heeds(first, signal.SIGUSR1) is True
        assert heeds(first, signal.SIGTERM) is False
        assert heeds(first, signal.SIGKILL) is True


@pytest.mark.root
def test_who_waits_for_a_signal_hears_it():
    code = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print(flush=True); "
        "signal.sigwait([signal.SIGTERM])"
    )
    with subprocess.Popen(
        ["unshare", "--fork", "--pid", "--kill-child", sys.executable, "-c", code], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout.read(1) == b"\n"
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children") as file:
            first = int(file.read())
        eventually(lambda: heeds(first, signal.SIGTERM))  # it says that it is there before it waits
        for _ in range(100):
            assert heeds(first, signal.SIGTERM) is True
            time.sleep(0.001)
        parent.kill()
