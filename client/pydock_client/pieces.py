"""What descriptors and files hold, piece by piece. Used by load, import, cp and build."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 20


def pieces(descriptor: int) -> Iterator[bytes]:
    """Yield what a descriptor holds."""
    while data := os.read(descriptor, _PIECE):
        yield data


def file_pieces(path: str) -> Iterator[bytes]:
    """Yield what a file holds."""
    with open(path, "rb", buffering=0) as file:
        yield from pieces(file.fileno())
