"""Files of the client, by fsutil's protocol: it tells all of them, and is asked for those that are wanted.

Used by `contexts`. What comes is hostile: paths stay below their root, sizes are what was told.
Source: wire.proto and send.go of fsutil. STATs come in the order of a walk and are numbered by it; one without a file
is the last. REQ asks for a number, DATA answers it, an empty one ends it. FIN says that there is nothing more to ask.
"""

import asyncio
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from pydock_daemon.builder.packs import Pack
from pydock_daemon.builder.tree import FILE, FOLDER, LINK, MOST, OTHER, Node
from pydock_shared.errors import InvalidArgument, PydockError

from .messages import make
from .session import Client

STAT, REQ, DATA, FIN, ERR = range(5)
GO_KINDS = ((1 << 31, FOLDER), (1 << 27, LINK), (1 << 26 | 1 << 25 | 1 << 24 | 1 << 19, OTHER))
GO_BITS = ((1 << 23, stat.S_ISUID), (1 << 22, stat.S_ISGID), (1 << 20, stat.S_ISVTX))
BATCH = 1 << 20
"""Bytes that are held before they are written."""
LONGEST = 1 << 16
LARGEST = 1 << 44
"""Bytes of a file, and of all of them."""
Facts = tuple[Any, ...]


class Known(NamedTuple):
    """What the client told of a file, the SHA-256 of its bytes if it has some, its first name if it has several."""

    facts: Facts
    digest: str = ""
    linked: str = ""


Told = Callable[[int], None]
"""Is told how many bytes have come."""


def metadata(name: str, **patterns: Iterable[str]) -> list[tuple[str, str]]:
    """Return the question for a folder: `include_patterns`, `exclude_patterns`, `followpaths`."""
    pairs = [("dir-name", name)]
    for key, values in patterns.items():
        texts = [text for text in values if text]
        header = key.replace("_", "-")
        if not all(text.isascii() and text.isprintable() for text in texts):
            texts = [quote_plus(text) for text in texts]
            pairs.append((f"{header}-encoded", "1"))
        pairs += [(header, text) for text in texts]
    return pairs


async def receive(
    client: Client, question: list[tuple[str, str]], before: Mapping[str, Known], pack: Pack, told: Told
) -> list[Known]:
    """Return the files of a client's folder; the pack gets the bytes of those that are not as `before`, by their paths.

    InvalidArgument: the client tells nonsense, or a file changes meanwhile.
    """
    async with client.files(question) as stream:
        await stream.send_request()
        return await _Receiving(stream, before, pack, told).run()


def nodes(files: Iterable[Known], rows: Mapping[str, tuple[int, int]] | None = None) -> list[Node]:
    """Return files as those of a tree; `rows` say where in a file the bytes of each digest begin."""
    return [_node(file, (rows or {}).get(file.digest, (0, 0))[0]) for file in files]


@dataclass
class _Coming:
    """A file that was asked for: where its next byte goes, how many are to come, and the digest of those that came."""

    path: str
    number: int
    offset: int
    left: int
    hashed: Any = field(default_factory=hashlib.sha256)


class _Receiving:
    def __init__(self, stream: Any, before: Mapping[str, Known], pack: Pack, told: Told) -> None:
        self._stream, self._before, self._pack, self._told = stream, before, pack, told
        self._files: list[Known] = []
        self._numbers: dict[str, int] = {}  # of files, by path
        self._wanted: asyncio.Queue[int | None] = asyncio.Queue()
        self._coming: dict[int, _Coming] = {}
        self._came: list[_Coming] = []
        self._pending: list[tuple[_Coming, int, bytes]] = []
        self._held = 0
        self._all_told = self._finished = False

    async def run(self) -> list[Known]:
        asking = asyncio.create_task(self._ask())
        try:
            while (packet := await self._stream.recv_message()) is not None:
                await self._take(packet)
                if packet.type == FIN:
                    break
            else:
                raise ConnectionError("the client of the build has gone")
            await self._flush()
            await asking
        finally:
            asking.cancel()
            await asyncio.wait([asking])
        while await self._stream.recv_message() is not None:
            pass
        for coming in self._came:
            self._take_in(coming)
        return [self._resolved(file) for file in self._files]

    def _take_in(self, coming: _Coming) -> None:
        """Write down the digest of a file that has come."""
        file, digest = self._files[coming.number], coming.hashed.hexdigest()
        self._pack.rows[digest] = coming.offset - file.facts[5], file.facts[5]
        self._files[coming.number] = file._replace(digest=digest)

    def _resolved(self, file: Known) -> Known:
        """Return a file that is a link with the digest of what it is a link to."""
        return file._replace(digest=self._files[self._numbers[file.linked]].digest) if file.linked else file

    async def _ask(self) -> None:
        while (number := await self._wanted.get()) is not None:
            await self._stream.send_message(make("Packet", type=REQ, ID=number))
        await self._stream.send_message(make("Packet", type=FIN), end=True)

    async def _take(self, packet: Any) -> None:
        if packet.type == STAT and packet.HasField("stat"):
            self._tell(packet.stat)
        elif packet.type == STAT:
            self._all_told = True
        elif packet.type == DATA:
            await self._data(packet.ID, packet.data)
        elif packet.type == ERR:
            raise PydockError(bytes(packet.data).decode(errors="replace") or "error from sender")
        if self._all_told and not self._coming and not self._finished:
            self._finished = True
            self._wanted.put_nowait(None)

    def _tell(self, told: Any) -> None:
        self._told(told.ByteSize())
        if len(self._files) >= MOST:
            raise InvalidArgument(f"the build context has more than {MOST} files")
        facts = _facts(told)
        path, file = facts[0], Known(facts)
        if facts[1] == FILE:
            if told.linkname:
                file = self._linked(facts, _inside(told.linkname))
            elif facts[5]:
                before = self._before.get(path)
                file = file._replace(digest=before.digest) if before and before.facts == facts else self._ask_for(file)
            self._numbers[path] = len(self._files)
        self._files.append(file)

    def _linked(self, facts: Facts, original: str) -> Known:
        number = self._numbers.get(original)
        if number is None:
            raise InvalidArgument(f"{facts[0]} is a link to {original}, which is not there")
        first = self._files[number].linked or original
        number = self._numbers[first]
        self._files[number] = self._files[number]._replace(linked=first)
        return Known((facts[0], *self._files[number].facts[1:]), linked=first)

    def _ask_for(self, file: Known) -> Known:
        offset, size, number = self._pack.end, file.facts[5], len(self._files)
        self._pack.end += size
        if self._pack.end > LARGEST:
            raise InvalidArgument(f"the build context has more than {LARGEST} bytes")
        self._coming[number] = _Coming(file.facts[0], number, offset, size)
        self._wanted.put_nowait(number)
        return file

    async def _data(self, number: int, data: bytes) -> None:
        coming = self._coming.get(number)
        if coming is None:
            raise InvalidArgument("the client sends what it was not asked for")
        if not data and not coming.left:
            self._came.append(self._coming.pop(number))
            return
        if not data or len(data) > coming.left:
            raise InvalidArgument(f"{coming.path} has changed while it was read")
        self._pending.append((coming, coming.offset, data))
        self._held += len(data)
        coming.offset, coming.left = coming.offset + len(data), coming.left - len(data)
        self._told(len(data))
        if self._held >= BATCH:
            await self._flush()

    async def _flush(self) -> None:
        pending, self._pending, self._held = self._pending, [], 0
        await asyncio.to_thread(_write, self._pack.file, pending)


def _node(file: Known, offset: int) -> Node:
    """Return a file of a tree by what was told of it."""
    path, kind, mode, uid, gid, size, mtime, target, attributes = file.facts
    headers = tuple((f"SCHILY.xattr.{name}", value.decode(errors="surrogateescape")) for name, value in attributes)
    return Node(path, kind, mode, uid, gid, mtime / 1e9, size, offset, target, file.digest, file.linked, headers)


def _write(pack: int, pending: list[tuple[_Coming, int, bytes]]) -> None:
    for coming, offset, data in pending:
        coming.hashed.update(data)
        while data:
            written = os.pwrite(pack, data, offset)
            offset, data = offset + written, data[written:]


def _inside(path: str) -> str:
    return posixpath.normpath("/" + path).lstrip("/")


def _facts(told: Any) -> Facts:
    """Return what makes a file another one: path, kind, mode, owner, size, time, target, attributes."""
    kind = next((kind for bits, kind in GO_KINDS if told.mode & bits), FILE)
    mode = (told.mode & 0o777) | sum(bit for go, bit in GO_BITS if told.mode & go)
    path = _inside(told.path)
    if not path or len(path) > LONGEST or "\0" in path or not 0 <= told.size <= LARGEST:
        raise InvalidArgument(f"the client tells of a file that cannot be: {told.path[:80]!r}")
    size = told.size if kind == FILE else 0
    attributes = tuple(sorted((name, bytes(value)) for name, value in told.xattrs.items()))
    target = told.linkname if kind == LINK else ""
    return path, kind, mode, told.uid, told.gid, size, told.modTime, target, attributes
