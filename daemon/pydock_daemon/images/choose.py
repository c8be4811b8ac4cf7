"""From the top of an image to the manifest of one platform, through indexes of indexes. Used by pull and load."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pydock_shared.errors import NotFound, PydockError

from . import manifest
from .manifest import Entry
from .model import Platform, whole_host_platform
from .registry import Document

Fetch = Callable[[str], Awaitable[Document | None]]
"""Gives an index by its digest, or None when one can do without it."""
MOST_INDEXES = 32


class Plan(NamedTuple):
    """What was found: the indexes on the way, the top first, and the entries of manifests in all of them."""

    indexes: list[Document]
    entries: list[Entry]

    def attestations(self, digest: str) -> list[Entry]:
        """Return the entries that attest something of a manifest."""
        return [entry for entry in self.entries if entry.subject == digest]


async def explore(top: Document, fetch: Fetch, name: str) -> Plan:
    """Follow an index to all of its entries, asking `fetch` for the indexes inside; PydockError when it has no end."""
    plan = Plan([], [])
    pending = [(top, 1)]
    while pending:
        document, depth = pending.pop(0)
        if depth > manifest.DEEPEST_INDEX or len(plan.indexes) == MOST_INDEXES:
            raise PydockError(f"{name}: an index of indexes that has no end")
        plan.indexes.append(document)
        for entry in manifest.entries_of(document.data):
            if entry.descriptor.media_type in manifest.INDEXES:
                if inner := await fetch(entry.descriptor.digest):
                    pending.append((inner, depth + 1))
            else:
                plan.entries.append(entry)
    return plan


def best(entries: list[Entry], platform: Platform | None) -> Entry:
    """Return the entry for a platform, this host's when None; NotFound with Docker's words when there is none."""
    # An index of one image need not say for what.
    if len(entries) == 1 and entries[0].platform is None:
        return entries[0]
    for wanted in (platform or whole_host_platform()).accepted():
        for entry in entries:
            if entry.platform and not entry.attests and wanted.runs(entry.platform):
                return entry
    raise NotFound(
        f"no matching manifest for {platform or whole_host_platform()} in the manifest list entries: "
        "no match for platform in manifest"
    )
