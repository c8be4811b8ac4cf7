"""The list of the files of a context, as `pydock build` sends it. Used by `contexts`; pure.

Lines of JSON, `[path, kind, mode, mtime, size, digest or target]`; the digest of contents is SHA-256.
"""

import json
import math
import posixpath
from collections.abc import Iterator
from typing import Any

from pydock_shared.errors import InvalidArgument

from .tree import FILE, FOLDER, LINK, MOST, OTHER, Node

LONGEST_LINE = 1 << 16
TOGETHER = 500
"""Lines that are read at once."""
KINDS = {"d": FOLDER, "f": FILE, "l": LINK, "o": OTHER}
DIGITS = frozenset("0123456789abcdef")


def nodes(data: bytes) -> list[Node]:
    """Return the files of a list; InvalidArgument names the line that is none."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(lines) > MOST:
        raise InvalidArgument(f"invalid context: more than {MOST} files")
    if any(len(line) > LONGEST_LINE for line in lines):
        raise InvalidArgument("invalid context: a line is too long")
    return [node for first in range(0, len(lines), TOGETHER) for node in _some(lines, first)]


def _some(lines: list[bytes], first: int) -> Iterator[Node]:
    """Yield the files of some lines; they are read one by one only where together they are wrong."""
    some = lines[first : first + TOGETHER]
    try:
        rows = json.loads(b"[%s]" % b",".join(some))
    except ValueError:
        rows = []
    if len(rows) != len(some):
        rows = [_row(line, first + number) for number, line in enumerate(some)]
    for number, row in enumerate(rows):
        try:
            yield _node(*row)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise _wrong(first + number, error) from error


def _row(line: bytes, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise _wrong(number, error) from error


def _wrong(number: int, error: Exception) -> InvalidArgument:
    return InvalidArgument(f"invalid context: line {number + 1}: {error}")


def _node(path: str, kind: str, mode: int, mtime: float, size: int, rest: str) -> Node:
    inside, is_file = posixpath.normpath(f"/{path}").lstrip("/"), kind == "f"
    if not inside or "\0" in path or (is_file and not (len(rest) == 64 and DIGITS.issuperset(rest))):
        raise ValueError(path)
    if size < 0 or not math.isfinite(mtime):
        raise ValueError(f"{path}: size {size}, time {mtime}")
    return Node(
        inside, KINDS[kind], int(mode) & 0o7777, mtime=float(mtime), size=int(size) if is_file else 0,
        digest=rest if is_file else "", target=str(rest) if kind == "l" else "",
    )  # fmt: skip
