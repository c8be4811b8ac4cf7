"""`system dial-stdio`: our standard streams as a connection to the daemon; what ssh:// hosts of docker clients call."""

from __future__ import annotations

import os
import select
import socket

from pydock_client.command import Call, Command
from pydock_client.session import PIECE, STDIN_FD, STDOUT_FD, write


def _dial(call: Call) -> None:
    with call.settings.daemon().connection().socket as stream:
        poll = select.poll()
        poll.register(STDIN_FD, select.POLLIN)
        poll.register(stream, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == STDIN_FD:
                    data = os.read(STDIN_FD, PIECE)
                    stream.sendall(data)
                    if not data:
                        poll.unregister(STDIN_FD)
                        stream.shutdown(socket.SHUT_WR)
                    continue
                data = stream.recv(PIECE)
                if not data:
                    return
                write(STDOUT_FD, data)


DIAL = Command(_dial)
