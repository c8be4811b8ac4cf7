"""/events: what happened and happens, as a stream of JSON records."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from pydock_daemon.events import Event
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters
from pydock_shared.times import parse_moment

from .routing import Call
from .stream import progress_stream

KINDS = ("config", "container", "daemon", "image", "network", "node", "plugin", "secret", "service", "volume")
KNOWN = {
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "scope",
    "type",
    "volume",
}


FORMS = {(1, 52): ("application/x-ndjson", "application/json-seq"), (1, 53): ("application/jsonl",)}
"""What a client may ask for in Accept, by the version that brought it."""
UNTIL_LEGACY = (1, 52)
"""The fields of events before 1.22 were answered up to this version."""


async def events(call: Call) -> web.StreamResponse:
    """GET /events: from `since` (or now) to `until` (or for ever)."""
    filters = call.filters()
    filters.check_known(KNOWN)
    since, until = (_moment(call, name) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise InvalidArgument(
            f"`since` time ({call.query['since']}) cannot be after `until` time ({call.query['until']})"
        )
    source = call.engine.events
    # With an end alone it begins with the first event, as in Docker.
    after = source.last() if since is None and until is None else source.before(since or 0)
    with source.reading():
        async with progress_stream(call, _form(call), end=b"\n") as stream:
            await stream.start()
            async for event in source.follow(after, until):
                if event["timeNano"] >= (since or 0) and _matches(event, filters):
                    await stream.send(_shown(event, call.version))
    return await stream.finish()


def _form(call: Call) -> str:
    """Return the first form that the client takes and the version knows; without a wish the one of old."""
    known = {form for since, forms in FORMS.items() if call.version >= since for form in forms}
    for part in call.request.headers.get("Accept", "").split(","):
        wanted = part.partition(";")[0].strip().lower()
        if wanted in known:
            return wanted
    return "application/json"


def _shown(event: Event, version: tuple[int, int]) -> Event:
    """Return an event as a version of the API has it."""
    if version >= UNTIL_LEGACY or event["Type"] not in ("container", "image"):
        return event
    actor = event["Actor"]
    legacy = {"status": event["Action"], "id": actor["ID"], "from": actor["Attributes"].get("image", "")}
    if event["Type"] == "image":
        del legacy["from"]
    return {**{key: value for key, value in legacy.items() if value}, **event}


def _moment(call: Call, name: str) -> int | None:
    text = call.query.get(name, "")
    return parse_moment(text) if text else None


def _matches(event: Event, filters: Filters) -> bool:
    actor: dict[str, Any] = event["Actor"]
    attributes = actor["Attributes"]
    if not filters.match_labels(attributes):
        return False
    tests = {
        "event": lambda value: event["Action"] == value or event["Action"].split(":")[0] == value,
        "type": lambda value: event["Type"] == value,
        "scope": lambda value: event["scope"] == value,
        **{kind: _of_kind(event, kind) for kind in KINDS},
    }
    return all(any(test(value) for value in filters.values(key)) for key, test in tests.items() if filters.values(key))


def _of_kind(event: Event, kind: str) -> Callable[[str], bool]:
    """Return what compares a name with what an event is about; Docker takes the beginning of a name or id."""
    id_, attributes = event["Actor"]["ID"], event["Actor"]["Attributes"]
    if kind == "image":
        name = attributes.get("name" if event["Type"] == "image" else "image", "")
        return lambda value: value in (id_, name, _without_tag(name))
    if event["Type"] != kind:
        return lambda value: False
    return lambda value: attributes.get("name", "").startswith(value) or id_.startswith(value)


def _without_tag(name: str) -> str:
    head, _, tag = name.rpartition(":")
    return head if head and "/" not in tag else name


ROUTES = (("GET", "/events", events),)
