"""The terminal of a container."""

import os
import select
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import terminal

pytestmark = pytest.mark.root


def read_all(master: int) -> bytes:
    """Everything until the last holder of the terminal has gone."""
    data = b""
    while select.select([master], (), (), box.PATIENCE)[0]:
        try:
            data += os.read(master, 4096)
        except OSError:
            return data
    raise AssertionError(f"the terminal stays open: {data!r}")


def read_line(master: int) -> bytes:
    """One line, which may come in pieces."""
    data = b""
    while not data.endswith(b"\r\n"):
        assert select.select([master], (), (), box.PATIENCE)[0], data
        data += os.read(master, 100)
    return data


def with_terminal(root: Path, script: str) -> box.Spec:
    """A spec whose program runs on a terminal of 100 by 40."""
    wanted = box.spec(root=root, shell=script)
    wanted["process"] |= {"terminal": True, "consoleSize": {"width": 100, "height": 40}}
    return wanted


def test_it_is_the_controlling_terminal_and_has_its_size(root: Path) -> None:
    script = "tty; stty size; echo there > /dev/tty; ls -l /dev/console | cut -c1; echo here > /dev/console"
    with box.ready(with_terminal(root, script)) as running:
        master = running.child.console
        assert master is not None
        assert running.release() is None
        assert read_all(master).split() == [b"/dev/pts/0", b"40", b"100", b"there", b"c", b"here"]
        assert running.wait() == 0


def test_its_size_changes_from_outside_and_keys_interrupt(root: Path) -> None:
    script = "trap 'stty size; exit 5' WINCH; trap 'exit 6' INT; echo ready; while :; do sleep 0.05; done"
    with box.ready(with_terminal(root, script)) as running:
        master = running.child.console
        assert master is not None
        assert running.release() is None
        assert read_line(master) == b"ready\r\n"
        terminal.resize(master, 30, 10)
        assert terminal.size_of(master) == (30, 10)
        assert running.wait() == 5
        assert b"10 30" in read_all(master)
    with box.ready(with_terminal(root, script)) as running:
        master = running.child.console
        assert master is not None
        assert running.release() is None
        assert read_line(master) == b"ready\r\n"
        os.write(master, b"\x03")
        assert running.wait() == 6


def test_the_user_owns_it(root: Path) -> None:
    wanted = with_terminal(root, "stat -c '%u %a' /dev/pts/0")
    wanted["process"]["user"] = {"uid": 1000, "gid": 1000}
    with box.ready(wanted) as running:
        assert running.release() is None
        assert running.child.console is not None
        assert read_all(running.child.console).split() == [b"1000", b"620"]
        running.wait()


def test_a_multiplexer_that_is_none_is_refused(root: Path) -> None:
    wanted = with_terminal(root, "true")
    wanted["mounts"].append(
        {"destination": "/dev/pts/ptmx", "type": "bind", "source": "/dev/zero", "options": ["bind"]}
    )
    error = box.run(wanted).error
    assert error is not None
    assert error["message"] == "/dev/pts/ptmx is not a terminal multiplexer"
