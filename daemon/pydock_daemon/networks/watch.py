"""Sees when somebody else takes our nftables table, or rules of it, away. Used by `service`, which then mends it.

The kernel tells every change of nftables to who listens (group NFNLGRP_NFTABLES); our own elements are among them and
passed over by a look at the message's type. The socket belongs to Watch; `close` takes it off the loop and closes it.
"""

import asyncio
import socket
from collections.abc import Callable

from .netlink import BUFFER, HEADER, NETLINK_NETFILTER, attributes, messages

GROUP_NFTABLES = 1 << 6
NFTABLES = 10 << 8
DELETIONS = {NFTABLES | kind for kind in (2, 5, 8)}
"""NFT_MSG_DELTABLE, DELCHAIN, DELRULE."""
GENERIC_HEADER = 4
TABLE_NAME = 1
"""The attribute of that number is the table's name in each of these messages."""


class Watch:
    """A listener that calls back when something of a table was deleted, by us or by others."""

    def __init__(self, table: str, changed: Callable[[], None]) -> None:
        self._table = table.encode()
        self._changed = changed
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        self._socket.bind((0, GROUP_NFTABLES))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop listening; twice is once."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: more happened than the socket could hold, so anything may have.
            self._changed()
            return
        if any(self._ours(message) for message in messages(data)):
            self._changed()

    def _ours(self, message: bytes) -> bool:
        if HEADER.unpack_from(message)[1] not in DELETIONS:
            return False
        return attributes(message[HEADER.size + GENERIC_HEADER :]).get(TABLE_NAME, b"").rstrip(b"\0") == self._table
