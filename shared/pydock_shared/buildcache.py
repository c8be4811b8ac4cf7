"""The volumes that `RUN --mount=type=cache` keeps its files in: their names. Used by the builder and `pydock`."""

import hashlib
import re

PREFIX = "build-cache-"
LABEL = "io.pydock.build.cache"
"""The label of such a volume; its value is the id of the cache."""


def volume(name: str, copy: int = 0) -> str:
    """Return the volume of a cache; `copy` counts those that are in use side by side."""
    plain = re.sub(r"[^a-zA-Z0-9_.-]", "-", name).strip("-.")[:40]
    return f"{PREFIX}{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" + (f"-{copy}" if copy else "")
