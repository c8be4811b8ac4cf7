"""The driver `syslog`: RFC 3164, RFC 5424 and the form of unix sockets, over udp, tcp, TLS or a socket of this host.

As Docker's: stdout has the severity info, stderr err; over TLS, messages of RFC 5424 are counted (RFC 5425), else each
ends in a newline. The time is that of the line, not of the sending.
"""

import os
import time
from collections.abc import Callable, Sequence

from pydock_daemon.containers.logdrivers import addresses, options
from pydock_daemon.containers.logdrivers.addresses import Address
from pydock_daemon.containers.logdrivers.info import Info

from .base import Retry
from .links import Datagrams, Link, Stream, tls_context
from .records import Record

SEVERITY = {"stdout": 6, "stderr": 3}
LOCAL_SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")
MICROSECOND = 1000
SECOND = 1_000_000_000


def _unix(nanoseconds: int, tag: str) -> str:
    return f"{_stamp(nanoseconds)} {tag}[{os.getpid()}]: "


def _rfc3164(nanoseconds: int, tag: str) -> str:
    return f"{_stamp(nanoseconds)} {os.uname().nodename} {tag}[{os.getpid()}]: "


def _rfc5424(nanoseconds: int, tag: str) -> str:
    return f"1 {_iso(nanoseconds, '')} {os.uname().nodename} {tag} {os.getpid()} {tag} - "


def _rfc5424micro(nanoseconds: int, tag: str) -> str:
    fraction = f".{nanoseconds % SECOND // MICROSECOND:06}"
    return f"1 {_iso(nanoseconds, fraction)} {os.uname().nodename} {tag} {os.getpid()} {tag} - "


# Of each format: what stands between priority and text, and the step of its clock in nanoseconds.
FORMATS: dict[str, tuple[Callable[[int, str], str], int]] = {
    "": (_unix, SECOND),
    "rfc3164": (_rfc3164, SECOND),
    "rfc5424": (_rfc5424, SECOND),
    "rfc5424micro": (_rfc5424micro, MICROSECOND),
}


class Syslog:
    """A connection to a syslog server, for one container."""

    waits = True
    retry = Retry()

    def __init__(self, info: Info) -> None:
        """Raises InvalidArgument, OSError."""
        asked = info.options
        self._tag = info.tag()
        self._address = addresses.syslog(asked.get("syslog-address", ""))
        self._facility = options.facility(asked.get("syslog-facility", ""))
        name = asked.get("syslog-format", "")
        self._format, self._step = FORMATS[name]
        self._counted = self._address.scheme == "tcp+tls" and name.startswith("rfc5424")
        self._link = self._new_link(self._address, asked)
        self._last: tuple[tuple[str, int], bytes] = (("", -1), b"")

    @staticmethod
    def _new_link(address: Address, asked: dict[str, str]) -> Link | None:
        if not address.scheme:
            return None
        if address.scheme in ("udp", "unixgram"):
            return Datagrams(address)
        tls = None
        if address.scheme == "tcp+tls":
            ca, certificate, key = (asked.get(f"syslog-tls-{name}") for name in ("ca-cert", "cert", "key"))
            tls = tls_context(ca, certificate, key, skip_verify="syslog-tls-skip-verify" in asked)
        return Stream(address, tls=tls)

    async def connect(self) -> None:
        """Connect; without an address to the first socket of this host that answers. Raises OSError."""
        if self._address.scheme and self._link is not None:
            await self._link.connect()
        elif self._link is None:
            self._link = await _local()

    async def send(self, records: Sequence[Record]) -> None:
        """Send; returns when the other side has all. Raises OSError."""
        assert self._link is not None
        messages = [self._message(record) for record in records if record.line]  # as Docker: no message is empty
        if isinstance(self._link, Stream):
            await self._link.send(b"".join(messages))
        else:
            for message in messages:
                await self._link.send(message)
        await self._link.settle()

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
        if not self._address.scheme:
            self._link = None

    def _message(self, record: Record) -> bytes:
        # Lines of one step of the clock have all but the text in common.
        key = (record.source, record.time // self._step)
        if key != self._last[0]:
            priority = self._facility << 3 | SEVERITY[record.source]
            self._last = (key, f"<{priority}>{self._format(record.time, self._tag)}".encode())
        message = self._last[1] + record.line + b"\n"
        return b"%d %s" % (len(message), message) if self._counted else message


async def _local() -> Link:
    for kind, scheme in ((Datagrams, "unixgram"), (Stream, "unix")):
        for path in LOCAL_SOCKETS:
            link: Link = kind(Address(scheme, path=path))
            try:
                await link.connect()
            except OSError:
                continue
            return link
    raise OSError("Unix syslog delivery error")


def _stamp(nanoseconds: int) -> str:
    local = time.localtime(nanoseconds // SECOND)
    return f"{time.strftime('%b', local)} {local.tm_mday:2} {time.strftime('%H:%M:%S', local)}"


def _iso(nanoseconds: int, fraction: str) -> str:
    local = time.localtime(nanoseconds // SECOND)
    zone = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}{fraction}" + (
        "Z" if zone in ("+0000", "") else f"{zone[:3]}:{zone[3:]}"
    )
