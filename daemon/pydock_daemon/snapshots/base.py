"""The words of snapshots, and what a snapshotter promises. Implemented by `overlay`; used by images and containers.

- diff id: digest of a layer's uncompressed tar. chain id: digest that names a layer together with all below it
  (OCI image specification, "Layer ChainID"). Both are `sha256:<hex>`.
- layer: an unpacked, read-only folder, one for a chain id, shared by every image and container that has it.
- snapshot: what a container (or a build step) writes on top of a chain, under a key that its owner chooses.
"""

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol


class Snapshotter(Protocol):
    """What containers need of a snapshotter."""

    def prepare(self, key: str, chain: list[str]) -> None:
        """Make a writable snapshot on top of a chain, bottom first. It holds its layers until it is removed."""

    def overlay(self, key: str) -> dict[str, Any]:
        """Return what the runtime mounts: `base`, and `lower` relative to it (top first), `upper`, `work`."""

    def remove(self, key: str) -> None:
        """Forget a snapshot and what was written in it; none of that name is fine."""

    def usage(self, key: str) -> int:
        """Return the bytes of the files written in a snapshot."""

    def mounted(self, key: str) -> AbstractContextManager[Path]:
        """Give the whole tree of a snapshot that no container uses now, mounted read-write for the block."""


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """Return the chain ids of layers, bottom first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(above(chain[-1] if chain else None, diff_id))
    return chain


def above(parent: str | None, diff_id: str) -> str:
    """Return the chain id of a layer on top of a chain."""
    return diff_id if parent is None else f"sha256:{hashlib.sha256(f'{parent} {diff_id}'.encode()).hexdigest()}"
