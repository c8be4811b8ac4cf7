"""Caches from elsewhere and for elsewhere, as BuildKit's clients ask for them: `--cache-from`, `--cache-to`.

Used by `jobs`. The steps stand in the result itself (`builder.inline`), or in documents of their own
(`builder.cacheconfig`).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydock_daemon.builder import sharing
from pydock_daemon.builder.cacheconfig import Documents
from pydock_daemon.engine import Engine
from pydock_daemon.images.auth import Credentials
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotSupported

from .progress import Telling, pulled, vertex
from .session import Client

FROM = {"registry": ("ref",)}
TO = {"inline": ("mode",), "registry": ("ref", "mode", "oci-mediatypes", "image-manifest")}
"""Kinds of caches, and the attributes of each."""
MODES = {"inline": ("min",), "registry": ("min", "max")}
FIXED = {"oci-mediatypes": "true", "image-manifest": "true"}
"""Attributes of which there is one value only."""


class Entry(NamedTuple):
    """A cache: its kind, and what is said of it."""

    kind: str
    attributes: dict[str, str]


def sources(entries: Iterable[Any], text: str) -> list[str]:
    """Return the images that a build begins with, from messages and from the attribute `cache-imports`."""
    try:
        listed = json.loads(text or "[]") or []
        more = [Entry(str(one.get("Type", "")), dict(one.get("Attrs") or {})) for one in listed]
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidArgument(f"invalid cache-imports: {error}") from error
    found = [_checked(one, FROM, "import") for one in [*map(_entry, entries), *more]]
    return list(dict.fromkeys(one.attributes["ref"] for one in found))


def targets(entries: Iterable[Any]) -> list[Entry]:
    """Return where the steps are to go."""
    return [_checked(_entry(one), TO, "export") for one in entries]


def inline(wanted: list[Entry], given: Mapping[str, str]) -> bool:
    """Say whether the result itself is to tell of its steps: asked for in this way, or by the older build argument."""
    asked = given.get("build-arg:BUILDKIT_INLINE_CACHE", "").lower() in ("1", "true")
    return asked or any(one.kind == "inline" for one in wanted)


def _entry(message: Any) -> Entry:
    return Entry(message.Type, dict(message.Attrs))


def _checked(entry: Entry, kinds: Mapping[str, tuple[str, ...]], what: str) -> Entry:
    if entry.kind not in kinds:
        raise NotSupported(f"the cache {what} type={entry.kind} is not supported")
    for name, value in entry.attributes.items():
        if name not in kinds[entry.kind] or value.lower() != FIXED.get(name, value.lower()):
            raise NotSupported(f"the option {name}={value} of the cache {what} type={entry.kind} is not supported")
    if entry.attributes.get("mode", "min") not in MODES[entry.kind]:
        raise NotSupported(f"mode={entry.attributes['mode']} of the cache {what} type={entry.kind} is not supported")
    if "ref" in kinds[entry.kind]:
        reference.parse(entry.attributes.get("ref", ""))
    return entry


def mode(wanted: list[Entry]) -> str:
    """Return which steps are to be told by documents: `min`, `max`, or nothing when there are to be none."""
    modes = {one.attributes.get("mode", "min") for one in wanted if one.kind == "registry"}
    return max(modes, key=["min", "max"].index, default="")


async def send(engine: Engine, client: Client | None, telling: Telling, made: Documents, wanted: list[Entry]) -> None:
    """Push the documents to the registries that were asked for."""
    for entry in wanted:
        if entry.kind != "registry":
            continue
        ref = reference.parse(entry.attributes["ref"])
        async with vertex(telling, f"exporting cache to registry {ref.familiar()}") as drawn:
            login = await client.credentials(ref.domain) if client else Credentials()
            await sharing.send(engine.images, made, ref, login, lambda record: pulled(drawn, record))
