"""The driver `fluentd`: the forward protocol's message mode over tcp, TLS or a unix socket.

github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1.

With `fluentd-request-ack` a record has arrived when the server says so, else when its kernel has it.
"""

import base64
import secrets
from collections.abc import Sequence
from typing import Any

import msgpack

from pydock_daemon.containers.logdrivers import addresses
from pydock_daemon.containers.logdrivers.info import Info
from pydock_daemon.containers.logdrivers.values import boolean, duration, natural

from .base import Retry
from .links import Stream, tls_context
from .records import Record

SECOND = 1_000_000_000
EVENT_TIME = 0  # the extension type of a time with nanoseconds
READ_SIZE = 64 << 10
MOST_ANSWER = 1 << 20
UNACKNOWLEDGED = 500  # records; their answers find place in the buffers of a connection that is not read meanwhile


class Fluentd:
    """A connection to a fluentd or fluent-bit, for one container."""

    def __init__(self, info: Info) -> None:
        """Raises InvalidArgument, OSError."""
        asked = info.options

        def yes(name: str) -> bool:
            return boolean(asked.get(name) or "false")

        address = addresses.fluentd(asked.get("fluentd-address", ""))
        tls = tls_context(None, None, None, skip_verify=False) if address.scheme == "tls" else None
        self._link = Stream(address, tls=tls)
        self._tag = info.tag()
        self._fixed: dict[str, Any] = {"container_id": info.id, "container_name": f"/{info.name}"}
        self._extra = info.attributes()
        self._precise = yes("fluentd-sub-second-precision")
        self._acknowledged = yes("fluentd-request-ack")
        self.waits = not (yes("fluentd-async") or yes("fluentd-async-connect"))
        interval = asked.get("fluentd-async-reconnect-interval")
        attempts = asked.get("fluentd-max-retries")
        first = duration(interval or asked.get("fluentd-retry-wait") or "100ms")
        self.retry = Retry(first, natural(attempts) if attempts else None, grows=not interval)
        # Text of the container may be no UTF-8: with the old raw type it goes as it is, as Docker's does.
        self._packer = msgpack.Packer(use_bin_type=False)
        self._answers = msgpack.Unpacker(max_buffer_size=MOST_ANSWER)

    async def connect(self) -> None:
        """Connect. Raises OSError."""
        await self._link.connect()

    async def send(self, records: Sequence[Record]) -> None:
        """Send; returns when the other side has all. Raises OSError."""
        size = UNACKNOWLEDGED if self._acknowledged else len(records)
        for at in range(0, len(records), size):
            await self._send(records[at : at + size])

    async def _send(self, records: Sequence[Record]) -> None:
        awaited: set[bytes] = set()
        packed = bytearray()
        for record in records:
            option = {}
            if self._acknowledged:
                chunk = base64.b64encode(secrets.token_bytes(16))
                awaited.add(chunk)
                option["chunk"] = chunk
            packed += self._packer.pack([self._tag, self._time(record.time), self._fields(record), option])
        await self._link.send(bytes(packed))
        await self._link.settle()
        if awaited:
            await self._wait_for(awaited)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
        self._answers = msgpack.Unpacker(max_buffer_size=MOST_ANSWER)

    def _time(self, nanoseconds: int) -> Any:
        seconds, rest = divmod(nanoseconds, SECOND)
        if not self._precise:
            return seconds
        return msgpack.ExtType(EVENT_TIME, seconds.to_bytes(4, "big") + rest.to_bytes(4, "big"))

    def _fields(self, record: Record) -> dict[str, Any]:
        fields = {**self._fixed, "source": record.source, "log": record.line, **self._extra}
        if record.piece is not None:
            fields["partial_message"] = "true"
            fields["partial_id"] = record.piece.id
            fields["partial_ordinal"] = str(record.piece.ordinal)
            fields["partial_last"] = "true" if record.piece.last else "false"
        return fields

    async def _wait_for(self, awaited: set[bytes]) -> None:
        while awaited:
            try:
                self._answers.feed(await self._link.read(READ_SIZE))
                for answer in self._answers:
                    ack = answer.get("ack") if isinstance(answer, dict) else None
                    awaited.discard(ack.encode() if isinstance(ack, str) else ack or b"")
            except (ValueError, msgpack.UnpackException) as error:
                raise ConnectionAbortedError(f"fluentd answers what is no acknowledgement: {error}") from error
