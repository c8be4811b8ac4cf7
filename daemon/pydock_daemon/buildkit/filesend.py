"""Results that go to the client: a stream of bytes, or files by fsutil's protocol with us as the sender.

Used by `exporters`. Source: session/filesync and fsutil's send.go; `filesync` tells of the protocol.
"""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from pydock_daemon.builder.tree import FILE, FOLDER, LINK, OTHER, Node, Tree
from pydock_shared.errors import InvalidArgument, NotSupported, PydockError

from .filesync import DATA, ERR, FIN, GO_BITS, REQ, STAT
from .messages import make
from .session import Client

SEND = "/moby.filesync.v1.FileSend/DiffCopy"
EXPORTER = "buildkit-attachable-exporter-id"
GO = {FOLDER: 1 << 31, LINK: 1 << 27, FILE: 0}
PIECE = 1 << 15
Told = Callable[[int], None]


def _checked(client: Client | None) -> Client:
    if client is None or not client.answers(SEND):
        raise NotSupported("the client has no place for files of the result: method FileSend not supported")
    return client


async def stream(client: Client | None, number: str, pieces: AsyncIterator[bytes], told: Told) -> None:
    """Send bytes to the client's file or pipe. PydockError: the client could not take them."""
    async with _checked(client).caller.call(SEND, "Bytes", "Bytes", [(EXPORTER, number)]) as sent:
        await sent.send_request()
        async for piece in pieces:
            for at in range(0, len(piece), PIECE):
                await sent.send_message(make("Bytes", data=piece[at : at + PIECE]))
            told(len(piece))
        await sent.end()
        while await sent.recv_message() is not None:
            pass


async def files(client: Client | None, number: str, tree: Tree, told: Told) -> None:
    """Send files into the client's folder."""
    nodes = list(_walk(tree, tree.root))
    async with _checked(client).caller.call(SEND, "Packet", "Packet", [(EXPORTER, number)]) as sent:
        await sent.send_request()
        telling = asyncio.create_task(_tell(sent, nodes))
        try:
            while (packet := await sent.recv_message()) is not None and packet.type != FIN:
                if packet.type == ERR:
                    raise PydockError(bytes(packet.data).decode(errors="replace"))
                if packet.type == REQ:
                    await _give(sent, tree, nodes, packet.ID, told)
            await telling
        finally:
            telling.cancel()
            await asyncio.wait([telling])
        if packet is None:
            raise ConnectionError("the client of the build has gone")
        await sent.send_message(make("Packet", type=FIN), end=True)
        while await sent.recv_message() is not None:
            pass


async def _tell(sent: Any, nodes: list[Node]) -> None:
    first: dict[int, str] = {}  # where the bytes are -> the name that was told of them first; others are hard links
    for node in nodes:
        link = first.setdefault(node.offset, node.path) if node.kind == FILE and node.size else node.path
        await sent.send_message(make("Packet", type=STAT, stat=_stat(node, "" if link == node.path else link)))
    await sent.send_message(make("Packet", type=STAT))


async def _give(sent: Any, tree: Tree, nodes: list[Node], number: int, told: Told) -> None:
    if number >= len(nodes) or nodes[number].kind != FILE:
        raise InvalidArgument("the client asks for a file that it was not told of")
    pieces = tree.pieces(nodes[number])
    while piece := await asyncio.to_thread(next, pieces, b""):
        for at in range(0, len(piece), PIECE):
            await sent.send_message(make("Packet", type=DATA, ID=number, data=piece[at : at + PIECE]))
        told(len(piece))
    await sent.send_message(make("Packet", type=DATA, ID=number))


def _walk(tree: Tree, folder: Node) -> Iterator[Node]:
    """Yield everything below a folder in the order of Go's filepath.Walk, which the client insists on."""
    for node in tree.children(folder):
        if node.kind != OTHER:
            yield node
        if node.kind == FOLDER:
            yield from _walk(tree, node)


def _stat(node: Node, link: str) -> Any:
    mode = GO[node.kind] | node.mode & 0o777 | sum(go for go, bit in GO_BITS if node.mode & bit & ~stat.S_IRWXU)
    return make(
        "Stat", path=node.path, mode=mode, uid=node.uid, gid=node.gid, size=node.size, modTime=int(node.mtime * 1e9),
        linkname=node.target if node.kind == LINK else link,
        xattrs={name.removeprefix("SCHILY.xattr."): text.encode(errors="surrogateescape")
                for name, text in node.headers},
    )  # fmt: skip
