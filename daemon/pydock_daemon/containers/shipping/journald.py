"""The driver `journald`: systemd's native journal protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) on its socket."""

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Sequence

from pydock_daemon.containers.logdrivers.addresses import Address
from pydock_daemon.containers.logdrivers.info import Info
from pydock_shared.times import rfc3339

from .base import Retry
from .links import Datagrams
from .records import Record

SOCKET = "/run/systemd/journal/socket"
PRIORITY = {"stdout": 6, "stderr": 3}
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journald:
    """The journal's socket, for one container."""

    waits = True
    retry = Retry()

    def __init__(self, info: Info) -> None:
        """Raises InvalidArgument, OSError."""
        if not os.path.exists(SOCKET):
            raise OSError("journald is not enabled on this host")
        self._link = Datagrams(Address("unixgram", path=SOCKET))
        tag = info.tag()
        fields = {
            "CONTAINER_ID": info.id[:12],
            "CONTAINER_ID_FULL": info.id,
            "CONTAINER_NAME": info.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": info.image_name,
            "SYSLOG_IDENTIFIER": tag,
            # By these two a reader tells records of one time apart.
            "CONTAINER_LOG_EPOCH": secrets.token_hex(32),
            **info.attributes(field_name),
        }
        self._fixed = b"".join(_field(name, text.encode("utf-8", "replace")) for name, text in fields.items() if name)
        self._ordinal = 0

    async def connect(self) -> None:
        """Connect. Raises OSError."""
        await self._link.connect()

    async def send(self, records: Sequence[Record]) -> None:
        """Send, each record as a datagram, or in a sealed memory file when it is too large for one. Raises OSError."""
        for record in records:
            self._ordinal += 1
            entry = self._entry(record)
            try:
                await self._link.send(entry)
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    raise
                await self._send_large(entry)

    def close(self) -> None:
        """Close the socket."""
        self._link.close()

    async def _send_large(self, entry: bytes) -> None:
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, entry)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
            await self._link.send_file(fd)
        finally:
            os.close(fd)

    def _entry(self, record: Record) -> bytes:
        fields = {
            "PRIORITY": str(PRIORITY[record.source]),
            "SYSLOG_TIMESTAMP": rfc3339(record.time),
            "CONTAINER_LOG_ORDINAL": str(self._ordinal),
        }
        if record.piece is not None:
            fields["CONTAINER_PARTIAL_ID"] = record.piece.id
            fields["CONTAINER_PARTIAL_ORDINAL"] = str(record.piece.ordinal)
            fields["CONTAINER_PARTIAL_LAST"] = "true" if record.piece.last else "false"
            if not record.piece.last:
                fields["CONTAINER_PARTIAL_MESSAGE"] = "true"
        text = "".join(f"{name}={value}\n" for name, value in fields.items()).encode()
        return self._fixed + text + _field("MESSAGE", record.line)


def field_name(key: str) -> str:
    """Return a label's or variable's name as the journal allows it: upper case, digits, no underscore to begin with."""
    return re.sub(r"[^A-Z0-9]", "_", re.sub(r"[a-z]", lambda found: found[0].upper(), key)).lstrip("_")


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
