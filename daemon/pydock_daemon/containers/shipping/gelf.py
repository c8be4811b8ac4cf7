"""The driver `gelf`: Graylog's extended log format 1.1 (docs.graylog.org), over udp in compressed chunks, or tcp."""

import gzip
import json
import os
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence

from pydock_daemon.containers.logdrivers import addresses
from pydock_daemon.containers.logdrivers.info import Info, go_json
from pydock_shared.times import rfc3339

from .base import Retry
from .links import Datagrams, Stream
from .records import Record

LEVEL = {"stdout": 6, "stderr": 3}
CHUNK = 1420  # bytes of a datagram, as Docker's: fits the MTU of most ways
CHUNK_HEAD = 12
MOST_CHUNKS = 128
CHUNK_MAGIC = b"\x1e\x0f"
MILLISECOND = 1_000_000

COMPRESSIONS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": lambda data, level: gzip.compress(data, level, mtime=0),
    "zlib": zlib.compress,
    "none": lambda data, level: data,
}


class Gelf:
    """A connection to a Graylog input, for one container."""

    waits = True

    def __init__(self, info: Info) -> None:
        """Raises InvalidArgument."""
        asked = info.options
        address = addresses.gelf(asked.get("gelf-address", ""))
        self._link = Stream(address) if address.scheme == "tcp" else Datagrams(address)
        self._address = address
        self._compress = COMPRESSIONS[asked.get("gelf-compression-type", "gzip")]
        self._level = int(asked.get("gelf-compression-level", 1))  # Docker's: the fastest
        attempts = asked.get("gelf-tcp-max-reconnect")
        self.retry = Retry(
            float(asked["gelf-tcp-reconnect-delay"]) if "gelf-tcp-reconnect-delay" in asked else 0.1,
            None if attempts is None else int(attempts),
            grows="gelf-tcp-reconnect-delay" not in asked,
        )
        extra = info.attributes(lambda key: key if key.startswith("_") else f"_{key}") | {
            "_container_id": info.id,
            "_container_name": info.name,
            "_image_id": info.image_id,
            "_image_name": info.image_name,
            "_command": info.command,
            "_tag": info.tag(),
            "_created": rfc3339(info.created),
        }
        self._head = f'{{"version":"1.1","host":{json.dumps(os.uname().nodename)},"short_message":'
        self._extra = go_json(extra)[1:]

    async def connect(self) -> None:
        """Connect. Raises OSError."""
        try:
            await self._link.connect()
        except OSError as error:
            raise OSError(f"gelf: cannot connect to GELF endpoint: {self._address} {error}") from error

    async def send(self, records: Sequence[Record]) -> None:
        """Send; over udp this is all that can be known. Raises OSError."""
        messages = [self._message(record) for record in records if record.line]  # as Docker: no message is empty
        if isinstance(self._link, Stream):
            await self._link.send(b"\0".join([*messages, b""]))
        else:
            for message in messages:
                for datagram in chunks(self._compress(message, self._level)):
                    await self._link.send(datagram)
        await self._link.settle()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _message(self, record: Record) -> bytes:
        text = json.dumps(record.line.decode("utf-8", "replace"), ensure_ascii=False)
        seconds, milliseconds = divmod(record.time // MILLISECOND, 1000)
        rest = f',"timestamp":{seconds}.{milliseconds:03},"level":{LEVEL[record.source]},'
        return (self._head + text + rest + self._extra).encode("utf-8", "replace")


def chunks(data: bytes) -> Iterator[bytes]:
    """Yield the datagrams of a message; none for one that takes more of them than the format allows."""
    if len(data) <= CHUNK:
        yield data
        return
    size = CHUNK - CHUNK_HEAD
    count = -(-len(data) // size)
    if count > MOST_CHUNKS:
        return
    head = CHUNK_MAGIC + secrets.token_bytes(8)
    for number in range(count):
        yield head + bytes((number, count)) + data[number * size : (number + 1) * size]
