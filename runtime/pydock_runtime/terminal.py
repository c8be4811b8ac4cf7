"""The terminal of a container: a pty of its own devpts, its master for the parent. Used by `init`, `join`, the verbs.

By descriptor, never by a name below /dev/pts: the container can change what a name there means (CVE-2025-52565).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios

from pydock_runtime import abi, linux
from pydock_runtime.errors import RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441
PTMX = os.makedev(5, 2)


def open_pair(size: dict[str, Any] | None) -> tuple[int, int]:
    """Return master and slave of a new pty below /dev/pts of this root, with its window size set."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
    if os.fstat(master).st_rdev != PTMX:
        raise RuntimeFailure("/dev/pts/ptmx is not a terminal multiplexer")
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if size:
        resize(master, size.get("width", 0), size.get("height", 0))
    return master, slave


def resize(fd: int, width: int, height: int) -> None:
    """Set the window size of a terminal, in characters."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def size_of(fd: int) -> tuple[int, int]:
    """Return the width and height of a terminal."""
    height, width, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return width, height


def make_raw(fd: int) -> None:
    """Let every byte through as it is: the terminal at the other end does the work; cfmakeraw(3)."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = termios.tcgetattr(fd)
    iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR)
    iflag &= ~(termios.ICRNL | termios.IXON)
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    attributes = [iflag, oflag & ~termios.OPOST, cflag, lflag, ispeed, ospeed, characters]
    termios.tcsetattr(fd, termios.TCSADRAIN, attributes)


def adopt(slave: int) -> None:
    """Make a terminal stdin, stdout, stderr and the controlling terminal of this session leader; closes `slave`."""
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.close(slave)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def show_console(slave: int) -> None:
    """Make the terminal /dev/console of this root as well."""
    path = "/dev/console"
    with contextlib.suppress(FileExistsError):
        # Exclusive: one that is there is a device, say, and must not be opened.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    place = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    tree = linux.open_tree(slave, "", abi.OPEN_TREE_CLONE | abi.AT_EMPTY_PATH)
    linux.move_mount(tree, place, path=path)
    os.close(tree)
    os.close(place)
