"""The files of a build context, or of a part of another stage: an index of a tar archive. Used by `copying`.

Nothing is unpacked on the host: a name leads to its bytes in the archive, and links are followed within the index, so
that no archive leads out of it. The archive lies uncompressed in the build's own folder.
"""

import copy
import io
import posixpath
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydock_daemon.snapshots import compression
from pydock_shared.errors import InvalidArgument
from pydock_shared.ignore import Patterns, expression

FOLDER, FILE, LINK, OTHER = "folder", "file", "link", "other"
MOST = 500_000
DEEPEST_LINK = 40
PIECE = 1 << 20
WILD = frozenset("*?[")


class Node(NamedTuple):
    """One file of a tree; `offset` and `size` are where its bytes are, `target` is where a link leads to."""

    path: str
    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    size: int = 0
    offset: int = 0
    target: str = ""
    digest: str = ""
    """Of a file whose bytes are kept by digest: that."""
    linked: str = ""
    """The first name of a file that has several."""
    headers: tuple[tuple[str, str], ...] = ()
    """Extended attributes, as pax records."""


class Tree:
    """An archive by names; paths are relative to its root, which is the empty text."""

    def __init__(self, archive: Path, *, wanted: Callable[[str], bool] = lambda path: True, strip: str = "") -> None:
        """Read the index; `strip` is a folder whose name is left off. InvalidArgument: it is no archive."""
        self.archive = archive
        self._fill(())
        try:
            with tarfile.open(archive, "r:") as found:
                for member in found:
                    self._add(member, wanted, strip)
                    found.members = []  # type: ignore[attr-defined] # it would keep all of them
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            if archive.stat().st_size:
                raise InvalidArgument(f"invalid archive: {error}") from error

    @classmethod
    def of(cls, archive: Path, nodes: Iterable[Node]) -> Self:
        """Return a tree of files whose bytes lie in a file that is no archive."""
        tree = cls.__new__(cls)
        tree.archive = archive
        tree._fill(nodes)
        return tree

    def _fill(self, nodes: Iterable[Node]) -> None:
        self._nodes: dict[str, Node] = {"": Node("", FOLDER)}
        self._children: dict[str, list[str]] = {"": []}
        for node in nodes:
            self._put(node)

    def _add(self, member: tarfile.TarInfo, wanted: Callable[[str], bool], strip: str) -> None:
        path = posixpath.normpath("/" + member.name).lstrip("/")
        if strip:
            path = path.removeprefix(strip).lstrip("/") if path == strip or path.startswith(f"{strip}/") else path
        if not wanted(path):
            return
        if len(self._nodes) >= MOST:
            raise InvalidArgument(f"invalid archive: more than {MOST} files")
        node = Node(
            path, _kind(member), member.mode & 0o7777, member.uid, member.gid, member.mtime,
            member.size if member.isreg() else 0, member.offset_data, member.linkname, headers=
            tuple(pair for pair in member.pax_headers.items() if pair[0].startswith("SCHILY.xattr.")),
        )  # fmt: skip
        if member.islnk():
            original = self._nodes.get(posixpath.normpath("/" + member.linkname).lstrip("/"))
            if original is None or original.kind != FILE:
                raise InvalidArgument(f"invalid archive: {path} is a link to {member.linkname}, which is not there")
            node = Node(path, FILE, original.mode, original.uid, original.gid, original.mtime, original.size,
                        original.offset, linked=original.path, headers=original.headers)  # fmt: skip
            self._nodes[original.path] = original._replace(linked=original.path)
        self._put(node)

    def _put(self, node: Node) -> None:
        folder, _, name = node.path.rpartition("/")
        if node.path and folder not in self._nodes:
            self._put(Node(folder, FOLDER))
        if node.path not in self._nodes:
            self._children.setdefault(folder, []).append(name)
        self._nodes[node.path] = node

    def without(self, patterns: Patterns) -> Self:
        """Return the tree without the files that are ignored."""
        kept = copy.copy(self)
        kept._fill(node for path, node in self._nodes.items() if path and not patterns.ignores(path))
        return kept

    def answer(self, question: list[Any], find: Callable[[], Any]) -> Any:
        """Return an answer about these files, which is JSON, as the question is; a tree may remember it."""
        return find()

    def __len__(self) -> int:
        return len(self._nodes) - 1

    def get(self, path: str, *, follow: bool = True) -> Node | None:
        """Return what a path leads to, None when there is nothing; links of its folders are always followed."""
        return self._resolve(posixpath.normpath("/" + path).lstrip("/"), follow=follow, left=DEEPEST_LINK)

    def _resolve(self, path: str, *, follow: bool, left: int) -> Node | None:
        at = ""
        parts = [part for part in path.split("/") if part]
        for index, part in enumerate(parts):
            at = f"{at}/{part}" if at else part
            node = self._nodes.get(at)
            if node is None:
                return None
            last = index == len(parts) - 1
            if node.kind == LINK and (follow or not last):
                if not left:
                    return None
                base = "" if node.target.startswith("/") else posixpath.dirname(at)
                onward = posixpath.join("/" + base, node.target, *parts[index + 1 :])
                return self._resolve(posixpath.normpath(onward).lstrip("/"), follow=follow, left=left - 1)
        return self._nodes.get(at)

    @property
    def root(self) -> Node:
        """Return the folder that everything is in."""
        return self._nodes[""]

    def children(self, node: Node) -> list[Node]:
        """Return what is in a folder, by name."""
        names = sorted(self._children.get(node.path, ()))
        return [self._nodes[f"{node.path}/{name}" if node.path else name] for name in names]

    def below(self, node: Node) -> Iterator[Node]:
        """Yield everything in a folder, each folder before what is in it."""
        for child in self.children(node):
            yield child
            if child.kind == FOLDER:
                yield from self.below(child)

    def matching(self, pattern: str) -> list[tuple[str, Node]]:
        """Return the paths that a pattern such as `src/*.c` names, sorted, each with what it leads to.

        A plain path names one or none.
        """
        clean = posixpath.normpath("/" + pattern).lstrip("/")
        if not WILD & set(clean):
            found = self.get(clean)
            return [(clean, found)] if found else []
        shape = expression(clean)
        names = [path for path in sorted(self._nodes) if path and shape.fullmatch(path)]
        return [(path, self.get(path) or self._nodes[path]) for path in names]

    def pieces(self, node: Node) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        with self.archive.open("rb") as file:
            file.seek(node.offset)
            left = node.size
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise InvalidArgument(f"invalid archive: {node.path} ends too early")
                left -= len(piece)
                yield piece

    def text(self, path: str, limit: int = 1 << 20) -> str | None:
        """Return a small file as text, None when there is none of that name."""
        node = self.get(path)
        if node is None or node.kind != FILE:
            return None
        if node.size > limit:
            raise InvalidArgument(f"{path} is larger than {limit} bytes")
        return b"".join(self.pieces(node)).decode(errors="replace")


def _kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return FOLDER
    if member.issym():
        return LINK
    return FILE if member.isreg() or member.islnk() else OTHER


def spool(pieces: Iterable[bytes], archive: Path) -> None:
    """Write a stream, decompressed, to a file; it may be empty. CompressionError when it is corrupt."""
    chunks = iter(pieces)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= compression.HEAD:
            break
    opener = compression.opener(compression.detect(head))

    def again() -> Iterator[bytes]:
        yield head
        yield from chunks

    with archive.open("wb") as file:
        for piece in opener(again()) if head else ():
            file.write(piece)


def context(archive: Path, dockerfile: str) -> tuple[Tree, str | None]:
    """Return the tree of a context and the text of its Dockerfile, which may be ignored itself."""
    return chosen(Tree(archive), dockerfile)


def chosen(whole: Tree, dockerfile: str) -> tuple[Tree, str | None]:
    """Return a tree without what .dockerignore (first `<Dockerfile>.dockerignore`) leaves out, and the Dockerfile."""
    text = whole.text(f"{dockerfile}.dockerignore")
    text = whole.text(".dockerignore") if text is None else text
    patterns = Patterns(text or "")
    kept = whole.without(patterns) if patterns else whole
    return kept, whole.text(dockerfile)


def one_file(name: str, data: bytes) -> bytes:
    """Return an archive with one file of this moment, for a document of a Dockerfile or one without a context."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(data), int(time.time())
        made.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def append(part: Path, whole: Path, name: str, path: str) -> None:
    """Add the files of an archive whose first entry is called `name` to another one, where that is called `path`."""
    with tarfile.open(part) as found, tarfile.open(whole, "a", format=tarfile.PAX_FORMAT) as made:
        for member in found:
            below = member.name.lstrip("/").removeprefix(name).lstrip("/")
            member.name = posixpath.join(path.lstrip("/"), below) or "."
            if member.islnk():
                inside = member.linkname.lstrip("/").removeprefix(name).lstrip("/")
                member.linkname = posixpath.join(path.lstrip("/"), inside)
            made.addfile(member, found.extractfile(member) if member.isreg() else None)
