"""What parent and child say to each other while a container starts, on a SOCK_SEQPACKET pair. Used by launch and init.

    who     message                          when
    parent  {"source": n} + mount            what only the host can open, the source of the nth mount, see `sources`;
                                             -1 is the root, see `mapped`
    parent  {"settled": true}                only with those, or with a user namespace: its maps are written
    child   {"hooks": true}                  everything is mounted; only with hooks that are run outside, see `hooks`
    parent  {"hooked": true}                 they have been run
    child   {"ready": true} [+ pty master]   the root is entered; init stands at its gate (exec: only with a terminal)
    parent  {"interfaces": [...]}            the gate opens (init only)
    child   {"users": [...], "path": "..."}  exec only, and only when somebody wants to know, see `known`
    child   {"error": {"kind", "message"}}   at any time instead of the next message
    child   end of file                      the user's program runs: the socket is close-on-exec

A helper that joins namespaces has a pair of its own, on which it says {"pid": n} of the child it made, or an error.
"""

from __future__ import annotations

import array
import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMIT = 1 << 15


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends; both close on exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send a message, with descriptors; OSError EMSGSIZE when it is longer than LIMIT."""
    data = json.dumps(message).encode()
    if len(data) > LIMIT:
        raise OSError(90, "message too long", "sync")
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], control)


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, int | None]:
    """Return a message and the descriptor with it, (None, None) at the end."""
    data, control, _, _ = sock.recvmsg(LIMIT, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    fd = None
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fd = array.array("i", payload[:4])[0]
    if not data:
        return None, fd
    message: dict[str, Any] = json.loads(data)
    return message, fd


def report(sock: socket.socket, kind: str, message: str) -> None:
    """Tell the parent why this process ends; when nobody listens any more there is nobody to tell."""
    try:
        send(sock, {"error": {"kind": kind, "message": message[: LIMIT // 8]}})
    except OSError:
        return
