"""The process between clients with TLS and the daemon. Started by `front`.

    python -m pydock_daemon.tls.relay  CHANNEL  CERTIFICATES  LISTENER...

The numbers are descriptors. For each client that has shaken hands one end of a pair of sockets goes to the daemon by
the channel. When the channel ends, so has the daemon: nobody is let in any more, and the process ends with the last
client.
"""

import json
import os
import select
import socket
import ssl
import sys
import threading
from contextlib import suppress

from pydock_daemon.tls.settings import Certificates, context
from pydock_shared.errors import PydockError
from pydock_shared.tls import Encrypted, relay

MOST = 512
"""Clients at a time; others wait for one to go."""
FULL = 1.0
"""Seconds of waiting for room, after which it is asked whether the daemon is still there."""
NOBODY = 65534


class Door:
    """Lets clients in."""

    def __init__(self, channel: socket.socket, certificates: ssl.SSLContext, listeners: list[socket.socket]) -> None:
        self._channel, self._context, self._listeners = channel, certificates, listeners
        self._room = threading.Semaphore(MOST)
        self._sending = threading.Lock()

    def open(self) -> None:
        """Let clients in until the daemon has ended."""
        poll = select.poll()
        for sock in (self._channel, *self._listeners):
            poll.register(sock, select.POLLIN)
        by_number = {sock.fileno(): sock for sock in self._listeners}
        while True:
            for number, _ in poll.poll():
                if number not in by_number:
                    return
                if not self._room.acquire(timeout=FULL):
                    continue
                with suppress(OSError):  # the client has gone again
                    client, _ = by_number[number].accept()
                    threading.Thread(target=self._serve, args=(client,)).start()
                    continue
                self._room.release()

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError), client:
                outer = Encrypted(client, self._context)
                outer.handshake()
                inner, theirs = socket.socketpair()
                with theirs, self._sending:
                    socket.send_fds(self._channel, [b"\0"], [theirs.fileno()])
                relay(outer, inner)
        finally:
            self._room.release()


def main() -> None:
    """Be that process."""
    channel, files, *listeners = sys.argv[1:]
    try:
        certificates = context(Certificates(*json.loads(files)))
    except PydockError as error:
        sys.exit(error.message)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    open_at = [socket.socket(fileno=int(number)) for number in listeners]
    door = Door(socket.socket(fileno=int(channel)), certificates, open_at)
    door.open()
    for sock in open_at:
        sock.close()


if __name__ == "__main__":
    main()
