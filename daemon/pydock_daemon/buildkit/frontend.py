"""One build for a BuildKit client: its Dockerfile, its files, the build, and errors as BuildKit tells them.

Used by `jobs`.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydock_daemon.builder import platforms
from pydock_daemon.builder.options import Options
from pydock_daemon.builder.platforms import Outcome
from pydock_daemon.builder.report import Report
from pydock_daemon.builder.solve import Build
from pydock_daemon.builder.steps import Failed
from pydock_shared.errors import PydockError

from . import attributes
from .progress import Vertices, words
from .sources import Sources

UNKNOWN = 2
LINE = re.compile(r"(?:line |:)(\d+)")


class Refused(PydockError):
    """An error with BuildKit's details, `(type url, value)` pairs, and gRPC's code for it."""

    def __init__(self, message: str, details: list[tuple[str, bytes]], code: int = UNKNOWN) -> None:
        super().__init__(message)
        self.details, self.code = details, code


async def build(sources: Sources, name: str, given: Mapping[str, str]) -> Outcome:
    """Build what the attributes of a frontend ask for. Refused: an error, with BuildKit's details."""
    attributes.frontend(name, given)
    asked, report, engine = attributes.asked(given), Vertices(sources.telling), sources.engine
    async with sources.opened(asked) as files:
        try:
            syntax = files.parsed(asked.filename).directives.get("syntax")
            if syntax:
                attributes.check_syntax(syntax)
            made = replace(sources.options, contexts=files.named)

            def make(options: Options, told: Report) -> Build:
                return Build(
                    engine.containers, engine.build_cache, options, sources.folder, files.context, told, files.text
                )

            return await platforms.run(engine.images, made, report, make)
        except PydockError as error:
            raise _detailed(error, asked.filename, files.text, report) from error


def _detailed(error: PydockError, name: str, text: str, report: Vertices) -> PydockError:
    """Return an error with BuildKit's words and its details: the place in the Dockerfile, the vertex, the exit code."""
    message = words(error)
    details: list[tuple[str, dict[str, Any]]] = []
    failed = report.failure
    if isinstance(error, Failed):
        details.append(("gatewayapi.ExitMessage", {"Code": error.exit_code}))
    if failed and failed.vertex:
        details.append(("errdefs.Vertex", {"digest": failed.vertex}))
    place = LINE.search(message)
    if failed or place:
        first, last = failed[:2] if failed else (int(place[1]), int(place[1])) if place else (0, 0)
        source = {"filename": name, "data": base64.b64encode(text.encode()).decode(), "language": "Dockerfile"}
        ranges = [{"start": {"line": first}, "end": {"line": max(first, last)}}]
        details.append(("errdefs.Source", {"info": source, "ranges": ranges}))
        message = message.splitlines()[0]
    made = [(f"github.com/moby/buildkit/{kind}+json", json.dumps(value).encode()) for kind, value in details]
    return Refused(message, made)
