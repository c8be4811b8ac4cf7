"""Files of the client, by fsutil's protocol: it tells all of them, and is asked for those that are wanted.

Used by `contexts`. What comes is hostile: paths stay below their root, sizes are what was told.
Source: wire.proto and send.go of fsutil. STATs come in the order of a walk and are numbered by it; one without a file
is the last. REQ asks for a number, DATA answers it, an empty one ends it. FIN says that there is nothing more to ask.
"""

import asyncio
import os
import posixpath
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

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
Facts = tuple[Any, ...]


@dataclass
class Pack:
    """The files whose bytes are here, and the open file with all the bytes: `end` is where it ends."""

    file: int
    end: int = 0
    known: dict[str, tuple[Facts, int]] = field(default_factory=dict)
    """Path -> what the client told of it when it came, and where its bytes begin."""


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


async def receive(client: Client, question: list[tuple[str, str]], pack: Pack, told: Told) -> list[Node]:
    """Return the files of a client's folder; their bytes are in the pack, those that were there are not sent again.

    `pack` has what is known afterwards. InvalidArgument: the client tells nonsense, or a file changes meanwhile.
    """
    async with client.files(question) as stream:
        await stream.send_request()
        return await _Receiving(stream, pack, told).run()


class _Receiving:
    def __init__(self, stream: Any, pack: Pack, told: Told) -> None:
        self._stream, self._pack, self._told = stream, pack, told
        self._nodes: list[Node] = []
        self._known: dict[str, tuple[Facts, int]] = {}
        self._wanted: asyncio.Queue[int | None] = asyncio.Queue()
        self._open: dict[int, list[int]] = {}  # number -> where its next byte goes, and how many are left
        self._pending: list[tuple[int, bytes]] = []
        self._held = self._count = self._size = 0
        self._all_told = self._finished = False

    async def run(self) -> list[Node]:
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
        self._pack.known = self._known
        return self._nodes

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
        if self._all_told and not self._open and not self._finished:
            self._finished = True
            self._wanted.put_nowait(None)

    def _tell(self, told: Any) -> None:
        number, self._count = self._count, self._count + 1
        self._told(told.ByteSize())
        if self._count > MOST:
            raise InvalidArgument(f"the build context has more than {MOST} files")
        facts = _facts(told)
        path, kind = facts[0], facts[1]
        offset = 0
        if kind == FILE and told.linkname:
            original = self._known.get(_inside(told.linkname))
            if original is None:
                raise InvalidArgument(f"{path} is a link to {told.linkname}, which is not there")
            facts, offset = (path, *original[0][1:]), original[1]
        elif kind == FILE and facts[5]:
            before = self._pack.known.get(path)
            if before and before[0] == facts:
                offset = before[1]
            else:
                offset, self._pack.end = self._pack.end, self._pack.end + facts[5]
                self._open[number] = [offset, facts[5]]
                self._wanted.put_nowait(number)
        if kind == FILE:
            self._known[path] = (facts, offset)
        self._nodes.append(node(facts, offset))

    async def _data(self, number: int, data: bytes) -> None:
        place = self._open.get(number)
        if place is None:
            raise InvalidArgument("the client sends what it was not asked for")
        if not data and not place[1]:
            del self._open[number]
            return
        if not data or len(data) > place[1]:
            raise InvalidArgument("a file of the build context has changed while it was read")
        self._pending.append((place[0], data))
        self._held += len(data)
        place[0], place[1] = place[0] + len(data), place[1] - len(data)
        self._told(len(data))
        if self._held >= BATCH:
            await self._flush()

    async def _flush(self) -> None:
        pending, self._pending, self._held = self._pending, [], 0
        await asyncio.to_thread(_write, self._pack.file, pending)


def _write(pack: int, pending: list[tuple[int, bytes]]) -> None:
    for offset, data in pending:
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
    if not path or len(path) > LONGEST or "\0" in path or told.size < 0:
        raise InvalidArgument(f"the client tells of a file that cannot be: {told.path[:80]!r}")
    size = told.size if kind == FILE else 0
    attributes = tuple(sorted((name, bytes(value)) for name, value in told.xattrs.items()))
    target = told.linkname if kind == LINK else ""
    return path, kind, mode, told.uid, told.gid, size, told.modTime, target, attributes


def node(facts: Facts, offset: int) -> Node:
    """Return a file of a tree by what was told of it."""
    path, kind, mode, uid, gid, size, mtime, target, attributes = facts
    headers = tuple((f"SCHILY.xattr.{name}", value.decode(errors="surrogateescape")) for name, value in attributes)
    return Node(path, kind, mode, uid, gid, mtime / 1e9, size, offset, target, headers=headers)
