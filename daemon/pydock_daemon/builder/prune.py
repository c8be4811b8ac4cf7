"""`POST /build/prune`: which parts of the build cache go. Used by `api.build` and by `upkeep.collect`.

The rules are BuildKit's (cache/manager.go): what is in use stays; of the rest, those that the filters choose and that
were not used for long enough; all of them, or with limits of space the ones used longest ago until the limits hold.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pydock_daemon.containers.service import Containers
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters
from pydock_shared.times import parse_moment

from . import caches
from .cache import Cache

Entry = dict[str, Any]

FIELDS: dict[str, Callable[[Entry, str], bool]] = {
    "id": lambda entry, text: text in entry["ID"],
    "type": lambda entry, text: entry["Type"] == text,
    "description": lambda entry, text: entry["Description"] == text,
    "parent": lambda entry, text: text in (entry.get("Parents") or ()),
    "inuse": lambda entry, text: bool(entry["InUse"]),
    "shared": lambda entry, text: bool(entry["Shared"]),
    "private": lambda entry, text: not entry["Shared"],
}
"""What an entry must be for each filter; the last three are asked for by their name alone."""
AGES = ("until", "unused-for")
LABELS = ("label", "label!")


class Limits(NamedTuple):
    """Bytes: of the cache that stay at least, of the cache at most, of the disk that shall be free; 0 for no limit."""

    reserved: int = 0
    max_used: int = 0
    min_free: int = 0

    def kept(self, total: int, free: int) -> int:
        """Return the bytes that may stay of a cache of `total` bytes, on a disk with `free` bytes left."""
        kept = self.max_used or (total if self.min_free else 0)
        excess = max(self.min_free - free, 0)
        return max(min(kept, total - excess), self.reserved, 0)


def chosen(
    entries: list[Entry], filters: Filters, limits: Limits, free: int, *, every: bool, now: int | None = None
) -> list[Entry]:
    """Return the entries that a prune removes, the one used longest ago first; InvalidArgument for bad filters.

    `every` takes also those that have their files from an image, which frees nothing as long as it is there.
    """
    oldest = _oldest(filters, time.time_ns() if now is None else now)
    wanted = checks(filters)
    removable = sorted(
        (
            entry
            for entry in entries
            if not entry["InUse"]
            and (every or not entry["Shared"])
            and entry["LastUsedAt"] <= oldest
            and all(check(entry) for check in wanted)
        ),
        key=lambda entry: int(entry["LastUsedAt"]),
    )
    if limits == Limits():
        return removable
    total = sum(_own(entry) for entry in entries)
    kept, gone = limits.kept(total, free), []
    for entry in removable:
        if total <= kept:
            break
        total -= _own(entry)
        gone.append(entry)
    return gone


def _own(entry: Entry) -> int:
    """Return the bytes that are of an entry alone."""
    return 0 if entry["Shared"] else int(entry["Size"])


def _oldest(filters: Filters, now: int) -> int:
    """Return the moment after which nothing may have been used that goes."""
    given = [name for name in AGES if name in filters]
    if len(given) > 1:
        raise InvalidArgument('conflicting filters: cannot specify both "until" and "unused-for"')
    for name in given:
        text = _single(filters, name)
        try:
            return parse_moment(text, now=now)
        except InvalidArgument as error:
            raise InvalidArgument(f"\"{name}\" filter expects a duration (e.g., '24h')") from error
    return now


def _single(filters: Filters, name: str) -> str:
    values = filters.values(name)
    if len(values) > 1:
        raise InvalidArgument("filters expect only one value")
    return values[0] if values else ""


def checks(filters: Filters) -> list[Callable[[Entry], bool]]:
    """Return what an entry must be; InvalidArgument for bad filters."""

    def check(name: str) -> Callable[[Entry], bool]:
        text = _single(filters, name)
        return lambda entry: FIELDS[name](entry, text)

    found = [check(name) for name in FIELDS if name in filters]
    if "label" in filters:
        found.append(lambda entry: False)  # none has any: a prune of what is labelled leaves the cache alone
    return found


async def entries(containers: Containers, cache: Cache) -> list[Entry]:
    """Return the whole build cache: steps, what `RUN --mount=type=cache` has kept, and copies of contexts."""
    contexts = await asyncio.to_thread(cache.contexts.entries)
    return cache.entries() + await caches.entries(containers) + contexts


async def remove(containers: Containers, cache: Cache, gone: Iterable[Entry]) -> tuple[list[str], int]:
    """Remove entries, unless one has come into use; return the ids and the bytes of disk that came free."""
    ids, freed = [], 0
    for entry in gone:
        if name := entry.get("Volume"):
            if not containers.volumes.exists(name) or containers.users_of_volume(name):
                continue
            containers.volumes.remove(name, force=True, in_use=[])
            freed += entry["Size"]
        elif name := entry.get("Context"):
            if not await asyncio.to_thread(cache.contexts.remove, name):
                continue
            freed += entry["Size"]
        else:
            cache.forget(entry)
        ids.append(entry["ID"])
    freed += containers.images.sweep()
    await containers.images.settled()
    await containers.volumes.settled()
    return ids, freed
