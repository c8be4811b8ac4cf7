"""`events`: what happens in the daemon, as it happens."""

from __future__ import annotations

import sys
import time

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import FILTER, STRING, Flag
from pydock_client.format import unescape
from pydock_shared import filters

from .logs import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

Event = dict[str, "Any"]
FIELDS = {
    **{name: name for name in ("Type", "Action", "Actor")},
    **{"Scope": "scope", "Time": "time", "TimeNano": "timeNano"},
}
"""Names in Go's templates, and on the wire."""


def _events(call: Call) -> None:
    options = call.options
    show = _printer(options["format"])
    wanted = filters.from_flags(options["filter"])
    query = {
        "since": moment(options["since"]),
        "until": moment(options["until"]),
        "filters": wanted.encode() if wanted else "",
    }
    for event in call.daemon.request("GET", "/events", query).objects():
        print(show(event), flush=True)
        sys.stdout.flush()


def _printer(form: str) -> Callable[[Event], str]:
    if not form:
        return _line
    from pydock_shared.template import Template, TemplateError

    try:
        template = Template("{{json .}}" if form == "json" else unescape(form), strict=False)
    except TemplateError as error:
        raise Failure(f"Error parsing format: {error}", 64) from error

    def show(event: Event) -> str:
        try:
            return template.render(_Message(event))
        except TemplateError as error:
            raise Failure(f"Error parsing format: {error}", 64) from error

    return show


class _Message:
    """What a template sees of an event."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def lookup(self, name: str) -> Any:
        if name in FIELDS:
            return self._event.get(FIELDS[name], "")
        if name not in ("ID", "Status", "From"):
            from pydock_shared.template import UnknownField

            raise UnknownField("*events.Message")
        # Older than actions and actors, and only of these; newer versions of the API do not tell them any more.
        actor, kind = self._event["Actor"], self._event["Type"]
        from_ = (actor.get("Attributes") or {}).get("image", "") if kind == "container" else ""
        told = {"ID": actor["ID"], "Status": self._event["Action"], "From": from_}
        return told[name] if kind in ("container", "image") else ""

    def plain(self) -> Event:
        return self._event


def _line(event: Event) -> str:
    """`TIME TYPE ACTION ACTOR (name=value, ...)`."""
    seconds, rest = divmod(int(event.get("timeNano") or event.get("time", 0) * 1_000_000_000), 1_000_000_000)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{rest:09d}"
    stamp += "Z" if zone in ("+0000", "") else f"{zone[:3]}:{zone[3:]}"
    actor = event.get("Actor") or {}
    words = [stamp, event.get("Type", ""), event.get("Action", ""), actor.get("ID", "")]
    attributes = sorted((actor.get("Attributes") or {}).items())
    if attributes:
        words.append(f"({', '.join(f'{key}={value}' for key, value in attributes)})")
    return " ".join(words)


EVENTS = Command(
    _events,
    "[OPTIONS]",
    flags=(
        Flag("-f --filter", FILTER, "Filter output based on conditions provided"),
        Flag("--format", STRING, "Format the output: 'json', or 'TEMPLATE', a Go template for each event"),
        Flag("--since", STRING, "Show all events created since this time"),
        Flag("--until", STRING, "Stream events until this time"),
    ),
)
