"""A session on a real pseudo terminal, with a program's other end played by the test: raw mode, size, keys, signals."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.recorder import Answer, Recorder

from pydock_client.terminal import DetachKeys, parse_keys
from pydock_shared.errors import InvalidArgument
from pydock_shared.framing import STDOUT, frame

SCRIPT = """
import socket, sys
from pydock_client.http import Daemon
from pydock_client.session import Session, Target
stream = socket.socket(fileno=int(sys.argv[1]))
tty, stdin, proxy = (word == "1" for word in sys.argv[3:6])
with Daemon(sys.argv[2]) as daemon, Session(
    stream, b"", Target(daemon, "/containers/x"), tty=tty, stdin=stdin, proxy=proxy
) as session:
    session.resize()
    print("ready", flush=True)
    print("detached" if not session.move() else "ended", flush=True)
"""


class Played:
    """The session's process, the container's end of its stream, and the person's end of its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], stream: socket.socket, terminal: int | None) -> None:
        self.process = process
        self.stream = stream
        self.terminal = terminal

    def screen(self, text: bytes, timeout: float = 10) -> bytes:
        """Read the terminal, or standard output, until the text is there."""
        descriptor = self.terminal
        if descriptor is None:
            assert self.process.stdout
            descriptor = self.process.stdout.fileno()
        seen, deadline = b"", time.monotonic() + timeout
        while text not in seen:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} is not in {seen!r}"
            seen += os.read(descriptor, 65536)
        return seen


@contextlib.contextmanager
def play(recorder: Recorder, *, tty: bool, stdin: bool, proxy: bool = False) -> Iterator[Played]:
    """Start a session in a process of its own."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    flags = ["1" if flag else "0" for flag in (tty, stdin, proxy)]
    command = [sys.executable, "-c", SCRIPT, str(theirs.fileno()), recorder.host, *flags]
    master = slave = None
    if tty:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    ends = subprocess.PIPE if slave is None else slave
    process = subprocess.Popen(command, stdin=ends, stdout=ends, pass_fds=[theirs.fileno()], start_new_session=True)
    theirs.close()
    played = Played(process, ours, master)
    try:
        played.screen(b"ready")
        yield played
    finally:
        process.kill()
        process.wait()
        ours.close()
        for end in (process.stdin, process.stdout):
            if end:
                end.close()
        for descriptor in (master, slave):
            if descriptor is not None:
                os.close(descriptor)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Recorder]:
    """A daemon that takes signals and sizes."""
    answers = {
        ("POST", "/containers/x/kill"): Answer(204),
        ("POST", "/containers/x/resize"): Answer(200),
    }
    with Recorder(tmp_path / "socket", answers) as recorder:
        yield recorder


def until(check: object, timeout: float = 10) -> None:
    """Wait until a check holds."""
    deadline = time.monotonic() + timeout
    assert callable(check)
    while not check():
        assert time.monotonic() < deadline, check
        time.sleep(0.02)


def test_keys_and_output_pass_as_they_are(daemon: Recorder):
    with play(daemon, tty=True, stdin=True) as played:
        os.write(played.terminal or 0, b"a\x03\r\x1b[A")
        assert played.stream.recv(100) == b"a\x03\r\x1b[A"
        played.stream.sendall(b"line\n")
        assert b"line\n" in played.screen(b"line\n")
        played.stream.close()
        played.screen(b"ended")
        assert played.process.wait(10) == 0


def test_the_terminal_is_given_back(daemon: Recorder):
    with play(daemon, tty=True, stdin=True) as played:
        raw = termios.tcgetattr(played.terminal or 0)
        assert not raw[3] & termios.ECHO
        played.stream.close()
        played.screen(b"ended")
        played.process.wait(10)
        assert termios.tcgetattr(played.terminal or 0)[3] & termios.ECHO


def test_the_size_is_told_at_the_start_and_when_it_changes(daemon: Recorder):
    with play(daemon, tty=True, stdin=True) as played:
        until(lambda: daemon.requests)
        assert daemon.requests[0].query == {"h": "24", "w": "80"}
        fcntl.ioctl(played.terminal or 0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        played.process.send_signal(signal.SIGWINCH)
        until(lambda: len(daemon.requests) > 1)
        assert daemon.requests[1].query == {"h": "50", "w": "132"}


def test_the_keys_that_detach(daemon: Recorder):
    with play(daemon, tty=True, stdin=True) as played:
        os.write(played.terminal or 0, b"x\x10")
        assert played.stream.recv(100) == b"x"
        os.write(played.terminal or 0, b"\x11")
        played.screen(b"detached")
        assert played.stream.recv(100) == b""
        assert played.process.wait(10) == 0


def test_signals_are_passed_on(daemon: Recorder):
    with play(daemon, tty=False, stdin=False, proxy=True) as played:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            played.process.send_signal(number)
            until(lambda number=number: {"signal": number.name} in [request.query for request in daemon.requests])
        played.stream.close()
        played.screen(b"ended")


def test_without_the_proxy_a_signal_is_for_us(daemon: Recorder):
    with play(daemon, tty=False, stdin=False) as played:
        played.process.send_signal(signal.SIGTERM)
        assert played.process.wait(10) == -signal.SIGTERM
        assert not daemon.requests


def test_the_end_of_input_is_a_half_close(daemon: Recorder):
    with play(daemon, tty=False, stdin=True) as played:
        assert played.process.stdin
        played.process.stdin.write(b"hello")
        played.process.stdin.close()
        received = b""
        while data := played.stream.recv(100):
            received += data
        assert received == b"hello"
        played.stream.sendall(frame(STDOUT, b"answer\n"))
        played.stream.close()
        assert b"answer\nended" in played.screen(b"ended")


def test_a_program_that_does_not_read_does_not_stop_its_output(daemon: Recorder):
    with play(daemon, tty=False, stdin=True) as played:
        assert played.process.stdin
        os.set_blocking(played.process.stdin.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(played.process.stdin.fileno(), b"x" * 65536)
        played.stream.sendall(frame(STDOUT, b"still here\n"))
        played.screen(b"still here")


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("a,ctrl-c", b"a\x03"), ("ctrl-@", b"\x00"), ("ctrl-[,ctrl-_", b"\x1b\x1f")],
)
def test_key_sequences(text: str, keys: bytes):
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-1", "abc", "a,,b"])
def test_what_is_no_key_sequence(text: str):
    with pytest.raises(InvalidArgument):
        parse_keys(text)


@pytest.mark.parametrize(
    ("pieces", "passed", "found"),
    [
        ([b"hello"], b"hello", False),
        ([b"\x10\x11rest"], b"", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"a\x10b\x10\x11"], b"a\x10b", True),
    ],
)
def test_detach_keys(pieces: list[bytes], passed: bytes, found: bool):
    keys = DetachKeys(b"\x10\x11")
    assert b"".join(keys.feed(piece) for piece in pieces) == passed
    assert keys.found is found
