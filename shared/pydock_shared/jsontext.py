"""JSON that somebody else has written: what it says, or that it is none. Used wherever a text comes from outside."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parsed(text: str | bytes) -> Any:
    """Return what a text says; ValueError when it is no JSON, and also when it nests deeper than can be read."""
    try:
        # Bytes as they are sent are UTF-8; json would guess at other encodings.
        return json.loads(text.decode() if isinstance(text, bytes) else text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
