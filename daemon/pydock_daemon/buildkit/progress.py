"""What a build tells, as BuildKit's clients draw it: vertices, their progress, their output. Made by `jobs`.

The promises are those of `builder.report`. Names of vertices are those of BuildKit's Dockerfile frontend.
"""

import asyncio
import hashlib
import itertools
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from pydock_daemon.builder import stages
from pydock_daemon.builder.dockerfile import Instruction
from pydock_daemon.builder.report import Plan
from pydock_daemon.builder.stages import Stage
from pydock_daemon.builder.steps import Failed
from pydock_daemon.images.model import Image, Platform
from pydock_shared import reference
from pydock_shared.errors import PydockError
from pydock_shared.framing import STDERR, STDOUT
from pydock_shared.reference import Reference

from .messages import make, timestamp

LAYERS = ("RUN", "COPY", "ADD", "WORKDIR")
"""The instructions that are steps to BuildKit; the others only change settings."""
MOST_OUTPUT = 2 << 20
CLIPPED = "[output clipped, log limit 2MiB reached]\n"
EVERY = 0.1
"""Seconds between two counts of the same thing."""
CANCELED = "context canceled"
VARIABLE = re.compile(r"(?<!\\)\$(?:\{(\w+)\}|(\w+))")
_numbers = itertools.count()


class Telling:
    """The messages about one build, in their order, for whoever follows it."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._grown = asyncio.Event()
        self._ended = False

    def send(self, **parts: list[Any]) -> None:
        """Add a message: `vertexes`, `statuses`, `logs`, `warnings`."""
        self.messages.append(make("Status", **parts))
        self._wake()

    def end(self) -> None:
        """Say that nothing will follow."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def follow(self) -> AsyncIterator[Any]:
        """Yield all messages, those to come as well, until the end."""
        at = 0
        while True:
            while at < len(self.messages):
                yield self.messages[at]
                at += 1
            if self._ended:
                return
            await self._grown.wait()


class Vertex:
    """One line of the drawing, from its begin to its end."""

    def __init__(self, telling: Telling, name: str, inputs: list[str] | None = None) -> None:
        self.digest = "sha256:" + hashlib.sha256(f"{next(_numbers)} {time.time_ns()} {name}".encode()).hexdigest()
        self._telling, self._name, self._inputs = telling, name, inputs or []
        self._started = time.time_ns()
        self._cached = False
        self._written = 0
        self._counted: dict[str, tuple[float, int]] = {}
        self._tell()

    def _tell(self, **more: Any) -> None:
        message = make("Vertex", digest=self.digest, inputs=self._inputs, name=self._name, cached=self._cached,
                       started=timestamp(self._started), **more)  # fmt: skip
        self._telling.send(vertexes=[message])

    def cached(self) -> None:
        """Say that nothing had to be done."""
        self._cached = True

    def end(self, error: str = "") -> None:
        """Say that it is over; an error is why."""
        self._tell(completed=timestamp(time.time_ns()), error=error)

    def output(self, text: str, stream: int = STDOUT) -> None:
        """Tell what a program has written, up to a limit."""
        data, before = text.encode(), self._written
        self._written += len(data)
        if before >= MOST_OUTPUT:
            return
        data = data if self._written < MOST_OUTPUT else CLIPPED.encode()
        message = make("Log", vertex=self.digest, timestamp=timestamp(time.time_ns()), stream=stream, msg=data)
        self._telling.send(logs=[message])

    def count(self, name: str, current: int, total: int = 0, *, done: bool = False) -> None:
        """Tell how far a part of it is; not more often than it can be seen."""
        now = time.monotonic()
        last, began = self._counted.get(name, (0.0, time.time_ns()))
        if now - last < EVERY and not done:
            return
        self._counted[name] = (now, began)
        moment = timestamp(time.time_ns())
        message = make("Progress", ID=name, vertex=self.digest, name=name, current=current, total=total,
                       timestamp=moment, started=timestamp(began))  # fmt: skip
        if done:
            message.completed.CopyFrom(moment)
        self._telling.send(statuses=[message])

    def counting(self, what: str) -> "Count":
        """Return a count of bytes that is told as a part of this."""
        return Count(self, what)


class Count:
    """How many bytes have come or gone, as a part of a vertex."""

    def __init__(self, drawn: Vertex, what: str) -> None:
        self._drawn, self._what, self._bytes, self.over = drawn, what, 0, False

    def add(self, count: int) -> None:
        """Tell of more."""
        self._bytes += count
        self._drawn.count(self._what, self._bytes)

    def end(self) -> None:
        """Tell that these were all."""
        self.over = True
        self._drawn.count(self._what, self._bytes, done=True)


@asynccontextmanager
async def vertex(telling: Telling, name: str) -> AsyncIterator[Vertex]:
    """Give a vertex that ends with the block, and tells the error that the block ends with."""
    made = Vertex(telling, name)
    try:
        yield made
    except BaseException as error:
        made.end(words(error))
        raise
    made.end()


def words(error: BaseException) -> str:
    """Return an error in BuildKit's words."""
    if isinstance(error, Failed):
        return f'process "{" ".join(error.command)}" did not complete successfully: exit code: {error.exit_code}'
    return error.message if isinstance(error, PydockError) else CANCELED


class Failure(NamedTuple):
    """The first and last line of an instruction, and its vertex; no vertex where it is none."""

    first: int
    last: int
    vertex: str


class Vertices:
    """The report of a build as vertices."""

    def __init__(self, telling: Telling, *, exported: bool = False, prefix: str = "") -> None:
        """`exported` tells of the image as well; else its exporter does. `prefix` begins the names of steps."""
        self._telling, self._exported, self._prefix = telling, exported, prefix
        self._parts: list[Vertices] = []
        self.failed: Failure | None = None
        """Where an error came from."""
        self._many = False

    def of(self, platform: Platform | None) -> "Vertices":
        """Return the telling of one platform, whose steps say so."""
        self._parts.append(Vertices(self._telling, prefix=f"{platform} "))
        return self._parts[-1]

    @property
    def failure(self) -> Failure | None:
        """Return where an error came from, on whatever platform."""
        return next((one.failed for one in (self, *self._parts) if one.failed), None)

    def plan(self, plan: Plan) -> None:
        """Note whether names tell of stages."""
        self._many = len(plan.needed) > 1 or any(stage.name for stage in plan.needed)

    def track(self, stage: Stage) -> "VerticesOfStage":
        """Return the telling of a stage."""
        name = stage.name or f"stage-{stage.index}"
        return VerticesOfStage(self, self._telling, stage, self._prefix + (f"{name} " if self._many else ""))

    async def done(self, image: Image, tags: list[Reference], unused: list[str]) -> None:
        """Tell what the exporter of an image tells, where there is none."""
        if self._exported:
            async with vertex(self._telling, "exporting to image") as drawn:
                exported(drawn, image, tags)


class VerticesOfStage:
    """One stage as vertices: one for FROM an image, one for each instruction that changes files."""

    def __init__(self, report: Vertices, telling: Telling, stage: Stage, prefix: str) -> None:
        self._report, self._telling, self._stage, self._prefix = report, telling, stage, prefix
        self._from_image = stage.parent is None and stage.base != stages.SCRATCH
        self._total = self._from_image + sum(step.name in LAYERS for step in stage.instructions)
        self._number = 0
        self._vertex: Vertex | None = None
        self._instruction: Instruction | None = None
        self._last = ""

    async def begin(self, instruction: Instruction | None, variables: dict[str, str]) -> None:
        """End the vertex before and begin the next one, if this is one."""
        self._close("")
        self._instruction = instruction
        if instruction is None and not self._from_image:
            return
        if instruction is not None and instruction.name not in LAYERS:
            return
        self._number += 1
        text = f"FROM {whole_name(self._stage.base)}"
        if instruction:
            text = VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), instruction.original)
            text = " ".join(text.split())
        name = f"[{self._prefix}{self._number}/{self._total}] {text}"
        self._vertex = Vertex(self._telling, name, [self._last] if self._last else [])

    def _close(self, error: str) -> None:
        if self._vertex:
            self._last = self._vertex.digest
            self._vertex.end(error)
        self._vertex = None

    async def note(self, text: str) -> None:
        """Tell nothing: these are words of the classic protocol."""

    async def cached(self) -> None:
        """Mark the vertex."""
        if self._vertex:
            self._vertex.cached()

    async def changed(self) -> None:
        """Tell nothing: that it has ended is enough."""

    async def made(self, image: str) -> None:
        """Tell nothing: steps of BuildKit have no images."""

    async def output(self, text: str, *, error: bool) -> None:
        """Tell it as the vertex's output."""
        if self._vertex:
            self._vertex.output(text, STDERR if error else STDOUT)

    async def pulling(self, record: dict[str, Any]) -> None:
        """Tell the layers of a pull as parts of the vertex."""
        if self._vertex:
            await pulled(self._vertex, record)

    async def end(self, error: BaseException | None) -> None:
        """End the last vertex; remember where an error came from."""
        if isinstance(error, PydockError) and not self._report.failed:
            step, line = self._instruction, self._stage.line
            drawn = self._vertex.digest if self._vertex else ""
            self._report.failed = Failure(step.line, step.end, drawn) if step else Failure(line, line, drawn)
        self._close(words(error) if error else "")


def exported(drawn: Vertex, image: Image, names: list[Reference]) -> None:
    """Tell of an image that is in this engine already, with its names: the build has committed it."""
    drawn.count("exporting layers", 0, done=True)
    drawn.count(f"writing image {image.id}", 0, done=True)
    for name in names:
        drawn.count(f"naming to {name.canonical()}", 0, done=True)


async def pulled(drawn: Vertex, record: dict[str, Any]) -> None:
    """Tell a record of a pull or a push, which is about one layer, as a part of a vertex."""
    detail, id_, status = record.get("progressDetail"), record.get("id", ""), record.get("status", "")
    if detail is not None and id_:
        done = "omplete" in status or status in ("Already exists", "Layer already exists", "Pushed")
        drawn.count(f"{status.lower()} {id_}", detail.get("current", 0), detail.get("total", 0), done=done)


def whole_name(name: str) -> str:
    """Return the name of a base image as BuildKit shows it."""
    try:
        return reference.parse(name).canonical()
    except PydockError:
        return name
