"""The files of a context whose bytes are in packs. Made by `contexts` and by BuildKit's front, used as any tree."""

import copy
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, Self

from pydock_shared.errors import InvalidArgument
from pydock_shared.ignore import Patterns

from .packs import Packs, Place
from .tree import FILE, PIECE, Node, Tree

AHEAD = 1 << 20
MOST_ANSWERS, LONGEST_ANSWER = 256, 1 << 16
Answers = dict[str, Any]


class Reader:
    """The bytes of files by digest. Whoever makes one closes it: until then its packs stay."""

    def __init__(self, packs: Packs) -> None:
        self.packs, self.places = packs, dict[str, Place]()
        self.used: set[str] = set()
        """The packs that it keeps from being removed."""
        self._files: dict[str, int] = {}
        self._ahead = "", 0, b""  # what was read last: pack, where it begins, bytes; replaced whole, for any thread

    def locate(self, digests: set[str]) -> None:
        """Find out where files are; InvalidArgument: some are nowhere."""
        if missing := digests - self.places.keys():
            found = self.packs.find(missing, self.used)
            if len(found) < len(missing):
                raise InvalidArgument(f"the context is not whole: {len(missing) - len(found)} files were not sent")
            self.places |= found

    def read(self, place: Place, offset: int, size: int) -> bytes:
        """Return bytes of a file; fewer only where it ends."""
        size, begin = min(size, place.size - offset), place.offset + offset
        pack, start, data = self._ahead
        if pack != place.pack or not start <= begin <= begin + size <= start + len(data):
            if place.pack not in self._files:
                self._files[place.pack] = self.packs.opened(place.pack)
            # Files come in the order in which they are read: after one that begins where the last ended there are more.
            further = AHEAD if (pack, start + len(data)) == (place.pack, begin) else 0
            start, data = begin, os.pread(self._files[place.pack], max(size, further), begin)
            self._ahead = place.pack, start, data
        return data[begin - start : begin - start + size]

    def close(self) -> None:
        """Let go of the packs."""
        self.packs.leave(self.used)
        for file in self._files.values():
            os.close(file)
        self.used, self._files = set(), {}


class Listed(Tree):
    """A tree by a list, which is read when it is first asked for something that has not been answered before."""

    def __init__(self, nodes: Callable[[], list[Node]], reader: Reader, answers: Answers) -> None:
        """`answers` are what these files have been asked before, and get what they are asked now."""
        self._list, self._reader, self._answers = nodes, reader, answers
        self._patterns: Patterns | None = None

    def __getattr__(self, name: str) -> Any:
        """Make the index when it is missed."""
        if name not in ("_nodes", "_children"):
            raise AttributeError(name)
        self._fill(node for node in self._list() if not (self._patterns and self._patterns.ignores(node.path)))
        self._reader.locate({node.digest for node in self._nodes.values() if node.size and node.digest})
        return self.__dict__[name]

    def without(self, patterns: Patterns) -> Self:
        """Return the tree without the files that are ignored."""
        kept = copy.copy(self)
        kept._patterns = patterns
        for name in ("_nodes", "_children"):
            kept.__dict__.pop(name, None)
        return kept

    def answer(self, question: list[Any], find: Callable[[], Any]) -> Any:
        """Return an answer about these files, from the last time if it was asked then."""
        asked = json.dumps([self._patterns.text if self._patterns else None, question], sort_keys=True)
        if asked not in self._answers:
            found = find()
            if len(self._answers) >= MOST_ANSWERS or len(asked) + len(found or "") > LONGEST_ANSWER:
                return found
            self._answers[asked] = found
        return self._answers[asked]

    def text(self, path: str, limit: int = 1 << 20) -> str | None:
        """Return a small file as text, None when there is none of that name."""
        found: str | None = self.answer(["text", path, limit], lambda: Tree.text(self, path, limit))
        return found

    def pieces(self, node: Node) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        if node.kind != FILE or not node.size:
            return
        place, at = self._reader.places[node.digest], 0
        while at < node.size:
            piece = self._reader.read(place, at, min(PIECE, node.size - at))
            if not piece:
                raise InvalidArgument(f"invalid context: {node.path} has not the size that was told")
            at += len(piece)
            yield piece
