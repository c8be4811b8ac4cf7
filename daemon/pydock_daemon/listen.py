"""The sockets pydockd listens on: unix, tcp, and those systemd hands over (fd://). Used by `app`, which closes them."""

import errno
import grp
import logging
import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pydock_daemon.config import Config
from pydock_shared.errors import InvalidArgument, PydockError

log = logging.getLogger("pydockd")
FIRST_PASSED = 3
"""The first descriptor that systemd passes; sd_listen_fds(3)."""
BACKLOG = 1024
PATIENCE = 2.0
"""Seconds until an address must be free that a daemon before had, whose clients with TLS are still let go."""


class Listener(NamedTuple):
    """A listening socket, and whether those who come there must speak TLS."""

    socket: socket.socket
    tls: bool


def open_all(config: Config, stack: ExitStack) -> list[Listener]:
    """Return the listening sockets of every host; PydockError names the one that cannot be listened on."""
    found: list[Listener] = []
    tls = config.tls or config.tls_verify
    for host in config.hosts:
        scheme, _, rest = host.partition("://")
        try:
            opened = {"unix": _unix, "tcp": _tcp, "fd": _passed}[scheme](rest, config)
            if scheme == "unix":
                stack.callback(Path(rest).unlink, missing_ok=True)
        except OSError as error:
            raise PydockError(f"cannot listen on {host}: {error.strerror or error}") from error
        for sock in opened:
            stack.callback(sock.close)
        found += [Listener(sock, tls and sock.family != socket.AF_UNIX) for sock in opened]
    return found


def _unix(path: str, config: Config) -> list[socket.socket]:
    """Listen at a path. A socket nobody answers on is a leftover and goes; one that answers is another daemon's."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            Path(path).unlink(missing_ok=True)
        else:
            raise PydockError(f"cannot listen on unix://{path}: another daemon answers there")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    old = os.umask(0o117)
    try:
        sock.bind(path)
    finally:
        os.umask(old)
    try:
        os.chown(path, 0, grp.getgrnam(config.group).gr_gid)
    except KeyError:
        log.debug("no group %s: %s belongs to root", config.group, path)
    sock.listen(BACKLOG)
    return [sock]


def _tcp(address: str, config: Config) -> list[socket.socket]:
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise InvalidArgument(f"tcp://{address}: needs HOST:PORT")
    if not config.tls_verify:
        missing = "authentication" if config.tls else "encryption and no authentication"
        log.warning("API on tcp://%s has no %s: whoever reaches it is root", address, missing)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + (PATIENCE if config.tls or config.tls_verify else 0)
    while True:
        try:
            sock.bind((host.strip("[]"), int(port)))
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                sock.close()
                raise
            time.sleep(0.05)
    sock.listen(BACKLOG)
    return [sock]


def _passed(name: str, config: Config) -> list[socket.socket]:
    """Return the sockets that systemd opened for us."""
    if not (passed := _passed_descriptors()):
        raise InvalidArgument("fd:// needs sockets passed by systemd, there are none")
    return [socket.socket(fileno=fd) for fd in passed]


def keep_passed() -> None:
    """Keep what systemd passed from our children: called before the first of them, the supervisor, is started."""
    for fd in _passed_descriptors():
        os.set_inheritable(fd, False)


def _passed_descriptors() -> range:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    return range(FIRST_PASSED, FIRST_PASSED + int(os.environ.get("LISTEN_FDS", "0")))


def notify(state: str) -> None:
    """Tell systemd, if it asked for it; sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
            sock.sendall(state.encode())
        except OSError as error:
            log.warning("cannot tell the service manager %s: %s", state, error)
