"""The terminal of a container: a pty of its own devpts, its master for the parent. Used by `init` and `join`."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431


def open_pair(size: dict[str, Any] | None) -> tuple[int, int]:
    """Return master and slave of a new pty below /dev/pts of this root, with its window size set."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(master, TIOCGPTN, struct.pack("i", 0)))[0]
    slave = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if size:
        resize(master, size.get("width", 0), size.get("height", 0))
    return master, slave


def resize(fd: int, width: int, height: int) -> None:
    """Set the window size of a terminal, in characters."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def adopt(slave: int) -> None:
    """Make a terminal stdin, stdout, stderr and the controlling terminal of this session leader."""
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
