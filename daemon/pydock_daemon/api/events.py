"""/events: what happened and happens, as a stream of JSON records."""

import asyncio
from typing import Any

from aiohttp import web

from pydock_daemon.events import Event
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters
from pydock_shared.times import parse_moment

from .routing import Call
from .stream import progress_stream

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
    "scope",
    "type",
    "volume",
}


async def events(call: Call) -> web.StreamResponse:
    """GET /events: from `since` (or now) to `until` (or for ever)."""
    filters = call.filters()
    filters.check_known(KNOWN)
    since, until = (_moment(call, name) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise InvalidArgument("`since` time cannot be after `until` time")
    source, last = call.engine.events, call.engine.events.last()
    async with progress_stream(call) as stream:
        await stream.start()
        for event in source.between(since, until) if since is not None else ():
            if _matches(event, filters):
                await stream.send(event)
        left = None if until is None else (until - _now(call)) / 1e9
        if left is None or left > 0:
            try:
                async with asyncio.timeout(left):
                    async for event in source.follow(last):
                        if _matches(event, filters):
                            await stream.send(event)
            except TimeoutError:
                pass
    return await stream.finish()


def _now(call: Call) -> int:
    return parse_moment("0s")


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
        **{kind: _of_kind(event, kind) for kind in ("container", "image", "network", "volume", "daemon")},
    }
    return all(any(test(value) for value in filters.values(key)) for key, test in tests.items() if filters.values(key))


def _of_kind(event: Event, kind: str) -> Any:
    actor = event["Actor"]
    name = actor["Attributes"].get("name", "")

    def test(value: str) -> bool:
        if event["Type"] != kind:
            return kind == "image" and actor["Attributes"].get("image") == value
        return value in (name, actor["ID"]) or (len(value) >= 12 and actor["ID"].startswith(value))

    return test


ROUTES = (("GET", "/events", events),)
