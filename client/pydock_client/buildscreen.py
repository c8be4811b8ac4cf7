"""A build drawn on a terminal while it runs, as `docker buildx build` draws it. Used by build for `--progress tty`.

Every step has a line: its name, how long it took, whether it came from the cache; one that runs shows the last lines
of its output below, as far as the terminal is high enough. A step that failed shows more of it at the end.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pydock_shared import units

from .buildsteps import ID, Step, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TextIO

_TAIL = 6
"""Lines of output below a step that runs."""
_EVERY = 10
"""Pictures a second."""
_FAILED = 20
"""Lines of the output of a step that failed."""


@contextmanager
def drawn(objects: Iterable[dict[str, Any]], out: TextIO, began: float) -> Iterator[Iterator[dict[str, Any]]]:
    """Give the records that are no steps; the steps are drawn while these are read, and stay to be seen afterwards.

    `began` is when the build did, by time.monotonic.
    """
    steps = Steps()
    console = Console(file=out, highlight=False, markup=False)

    def picture() -> Text:
        return Text("\n").join(_lines(steps, began, console.width, console.height - 2))

    def others() -> Iterator[dict[str, Any]]:
        for entry in objects:
            if entry.get("id") == ID:
                steps.tell(entry["aux"])
            else:
                yield entry

    live = Live(console=console, get_renderable=picture, refresh_per_second=_EVERY, vertical_overflow="crop")
    try:
        with _interruptible(), live:
            yield others()
    finally:
        if steps.failed:
            _explain(steps.failed, out)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt end the block, whose own end gives the cursor back; then it ends the program, as it would."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def _explain(step: Step, out: TextIO) -> None:
    out.write("\n".join(["------", f" > {step.name}:", *step.output(_FAILED), "------", ""]))
    out.flush()


def _lines(steps: Steps, began: float, width: int, height: int) -> list[Text]:
    """Return the picture: a heading, and of the steps those that the terminal has room for."""
    every = [step for step in list(steps.all.values()) if step.started]
    over = bool(every) and steps.done == len(every)
    seconds, total = time.monotonic() - began, len(every)
    word = " ERROR" if steps.failed and over else " FINISHED" if over else ""
    heading = Text(f"[+] Building {seconds:.1f}s ({steps.done}/{total}){word}", "bold" if not over else "blue")
    heading.truncate(width)
    running = sum(not step.ended for step in every) or 1
    tail = max(0, min(_TAIL, (height - 1 - len(every)) // running))
    found = [line for step in _chosen(every, height - 1) for line in _step(step, width, tail)]
    room = height - 1 - len(found)
    if over and room >= sum(len(step.counts) for step in every):
        found = [line for step in every for line in (*_step(step, width, 0), *_counts(step, width))]
    return [heading, *found[: max(1, height - 1)]]


def _chosen(every: list[Step], room: int) -> list[Step]:
    """Return the steps that there is room for: where it is scarce, those that ended first are left out."""
    out = max(0, len(every) - max(1, room))
    ended = [step for step in every if step.ended][:out]
    return [step for step in every if step not in ended]


def _step(step: Step, width: int, tail: int) -> list[Text]:
    mark = "ERROR " if step.error and step.error != "context canceled" else "CANCELED " if step.error else ""
    mark = mark or ("CACHED " if step.cached else "")
    style = "red" if mark == "ERROR " else "yellow" if step.error else "blue" if step.ended else ""
    lines = [_line(f" => {mark}{step.name}", f"{step.seconds:.1f}s", width, style)]
    if step.ended:
        return lines
    output = [_line(f" => => # {text}", "", width, "dim") for text in step.output(tail)]
    return [*lines, *[*_counts(step, width), *output][:tail]]


def _counts(step: Step, width: int) -> list[Text]:
    return [_line(_count(count), "", width, "dim") for count in list(step.counts.values())]


def _count(count: dict[str, Any]) -> str:
    """Return how far a part of a step is, such as a layer that is pulled."""
    current, total = count.get("current", 0), count.get("total", 0)
    sizes = units.format_size(current) if current else ""
    sizes += f" / {units.format_size(total)}" if total else ""
    return f" => => {count.get('name') or count['id']} {sizes}"


def _line(text: str, right: str, width: int, style: str) -> Text:
    """Return a line with something at its right end; what is too long is cut."""
    room = max(1, width - len(right) - 1)
    left = Text("".join(char if char.isprintable() else " " for char in text), style)
    left.truncate(room, overflow="ellipsis", pad=True)
    return left + Text(f" {right}", style)
