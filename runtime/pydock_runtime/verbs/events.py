"""`events`: what a container uses, once or again and again, as lines of JSON."""

from __future__ import annotations

import json
import time

from pydock_runtime import container, state
from pydock_runtime.arguments import SWITCH, TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure

ARGUMENTS = "ID"
SEALED = False
FLAGS = (
    Flag("stats", SWITCH, "print the statistics once"),
    Flag("interval", TEXT, "time between two of them, as 5s (default) or 500ms"),
)
UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0))


def run(call: Call) -> int:
    """Print statistics, and `oom` when the kernel killed a process for want of memory, until the container stops."""
    record = state.load(call.root, call.id())
    interval = seconds(call.text("interval") or "5s")
    live = (state.CREATED, state.RUNNING, state.PAUSED)
    container.require(record, *live, otherwise="container with id {id} is not running")
    kills = _kills(record)
    while record.alive():
        _print(record, "stats", {"data": container.group(record).stats()})
        if call.has("stats"):
            break
        time.sleep(interval)
        if (now := _kills(record)) != kills:
            kills = now
            _print(record, "oom", {})
    return 0


def seconds(text: str) -> float:
    """Return the length of a time given as 500ms, 5s or 1m."""
    for unit, factor in UNITS:
        number = text.removesuffix(unit)
        if number != text and number.isdigit() and int(number) > 0:
            return int(number) * factor
    raise RuntimeFailure(f"not a time: {text}", INVALID)


def _kills(record: state.Record) -> int:
    try:
        return container.group(record).oom_kills()
    except OSError:
        # No memory controller, or the container has gone.
        return 0


def _print(record: state.Record, kind: str, rest: dict[str, object]) -> None:
    print(json.dumps({"type": kind, "id": record.id, **rest}), flush=True)
