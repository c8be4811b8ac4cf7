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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
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
LARGEST = 1 << 44
"""Bytes of a file, and of all of them."""
Facts = tuple[Any, ...]


class Known(NamedTuple):
    """A file whose bytes are here: what the client told of it when it came, where they begin, and their SHA-256."""

    facts: Facts
    offset: int
    digest: str


@dataclass
class Pack:
    """The files whose bytes are here, by path, and the open file with all the bytes: `end` is where it ends."""

    file: int
    end: int = 0
    known: dict[str, Known] = field(default_factory=dict)


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


@dataclass
class _Coming:
    """A file that was asked for: where its next byte goes, how many are to come, and the digest of those that came."""

    path: str
    offset: int
    left: int
    hashed: Any = field(default_factory=hashlib.sha256)


class _Receiving:
    def __init__(self, stream: Any, pack: Pack, told: Told) -> None:
        self._stream, self._pack, self._told = stream, pack, told
        self._files: list[Known] = []
        self._links: dict[str, str] = {}  # the name of a hard link -> the name of what it is a link to
        self._known: dict[str, Known] = {}
        self._wanted: asyncio.Queue[int | None] = asyncio.Queue()
        self._coming: dict[int, _Coming] = {}
        self._came: list[_Coming] = []
        self._pending: list[tuple[_Coming, int, bytes]] = []
        self._held = 0
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
        for coming in self._came:
            self._known[coming.path] = self._known[coming.path]._replace(digest=coming.hashed.hexdigest())
        self._pack.known = self._known
        return [self._node(file) for file in self._files]

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
        path, kind = facts[0], facts[1]
        file = Known(facts, 0, "")
        if kind == FILE and told.linkname:
            file = self._linked(facts, _inside(told.linkname))
        elif kind == FILE and facts[5]:
            before = self._pack.known.get(path)
            file = before if before and before.facts == facts else self._ask_for(facts)
        if kind == FILE:
            self._known[path] = file
        self._files.append(file)

    def _linked(self, facts: Facts, original: str) -> Known:
        found = self._known.get(original)
        if found is None:
            raise InvalidArgument(f"{facts[0]} is a link to {original}, which is not there")
        self._links[facts[0]] = first = self._links.setdefault(original, original)
        return self._known[first]._replace(facts=(facts[0], *found.facts[1:]))

    def _ask_for(self, facts: Facts) -> Known:
        offset, self._pack.end = self._pack.end, self._pack.end + facts[5]
        if self._pack.end > LARGEST:
            raise InvalidArgument(f"the build context has more than {LARGEST} bytes")
        self._coming[len(self._files)] = _Coming(facts[0], offset, facts[5])
        self._wanted.put_nowait(len(self._files))
        return Known(facts, offset, "")

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

    def _node(self, file: Known) -> Node:
        """Return a file of a tree by what was told of it."""
        path, kind, mode, uid, gid, size, mtime, target, attributes = file.facts
        headers = tuple((f"SCHILY.xattr.{name}", value.decode(errors="surrogateescape")) for name, value in attributes)
        linked = self._links.get(path, "")
        digest = self._known[linked or path].digest if kind == FILE else ""
        return Node(path, kind, mode, uid, gid, mtime / 1e9, size, file.offset, target, digest, linked, headers)


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
