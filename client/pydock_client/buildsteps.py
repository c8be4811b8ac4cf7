"""What a build has told of its steps so far: names, times, progress, the tail of their output. Used by buildscreen.

The records are those of `POST /build?trace=1`: BuildKit's vertices, statuses and logs as JSON.
"""

from __future__ import annotations

import base64
import codecs
import time
from collections import deque
from datetime import datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "moby.buildkit.trace.json"
_KEPT = 200
"""Lines of output that are kept of a step."""


class Step:
    """One vertex: `seconds` it took or takes, `error` why it failed, `lines` the last of its output."""

    __slots__ = ("_begun", "_decoder", "_took", "cached", "counts", "ended", "error", "lines", "name", "started")

    def __init__(self, name: str) -> None:
        self.name, self.error, self.cached, self.started, self.ended = name, "", False, False, False
        self.lines: deque[str] = deque([""], _KEPT)
        self.counts: dict[str, dict[str, Any]] = {}
        self._begun, self._took = time.monotonic(), 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def seconds(self) -> float:
        """Return how long it took, by the daemon's clock; while it runs, for how long it has been seen to."""
        return self._took if self.ended else time.monotonic() - self._begun

    def tell(self, vertex: dict[str, Any]) -> None:
        """Take in what is told of the step as a whole."""
        self.cached = self.cached or bool(vertex.get("cached"))
        self.error = vertex.get("error", "")
        self.started = self.started or "started" in vertex
        if "completed" in vertex:
            self.ended = True
            self._took = max(0.0, (_moment(vertex["completed"]) - _moment(vertex["started"])).total_seconds())

    def write(self, data: bytes) -> None:
        """Take in output: `\\r` begins the line anew."""
        for number, text in enumerate(self._decoder.decode(data).replace("\r\n", "\n").split("\n")):
            if number:
                self.lines.append("")
            *_, last = (self.lines[-1] + text).rstrip("\r").rsplit("\r", 1)
            self.lines[-1] = last

    def output(self, count: int) -> list[str]:
        """Return the last lines that have something."""
        return [line for line in self.lines if line.strip()][-count:]


class Steps:
    """The steps of one build, in the order in which they began."""

    def __init__(self) -> None:
        self.all: dict[str, Step] = {}

    def tell(self, status: dict[str, Any]) -> None:
        """Take in one record."""
        for vertex in status.get("vertexes", ()):
            step = self.all.get(vertex["digest"]) or Step(vertex.get("name", ""))
            step.tell(vertex)
            self.all[vertex["digest"]] = step
        for count in status.get("statuses", ()):
            if found := self.all.get(count.get("vertex", "")):
                found.counts[count["id"]] = count
        for log in status.get("logs", ()):
            if found := self.all.get(log.get("vertex", "")):
                found.write(base64.b64decode(log["data"]))

    @property
    def done(self) -> int:
        """Return how many have ended."""
        return sum(step.ended for step in self.all.values())

    @property
    def failed(self) -> Step | None:
        """Return the step that has failed of itself, None while none has."""
        failed = [step for step in self.all.values() if step.error and step.error != "context canceled"]
        return failed[0] if failed else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
