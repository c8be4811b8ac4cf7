"""`events`: what a container uses, once or again and again, as lines of JSON."""

from __future__ import annotations

import json
import os
import re
from select import EPOLLIN

from pydock_runtime import container, resctrl, state
from pydock_runtime.arguments import SWITCH, TEXT, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure
from pydock_runtime.supervisor.ooms import Watch
from pydock_runtime.supervisor.poller import Poller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pydock_runtime.cgroup import Cgroup

ARGUMENTS = "ID"
SEALED = False
FLAGS = (
    Flag("stats", SWITCH, "print the statistics once"),
    Flag("interval", TEXT, "time between two of them, as 5s (default) or 500ms"),
)
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


def run(call: Call) -> int:
    """Print statistics, and `oom` when the kernel killed a process for want of memory, until the container stops."""
    record = state.load(call.root, call.id())
    interval = seconds(call.text("interval") or "5s")
    live = (state.CREATED, state.RUNNING, state.PAUSED)
    container.require(record, *live, otherwise="container with id {id} is not running")
    if call.has("stats"):
        _print_stats(record)
    else:
        _Following(record, interval).run()
    return 0


class _Following:
    """A container whose end is waited for; what happens until then is printed."""

    def __init__(self, record: state.Record, interval: float) -> None:
        self._record = record
        self._interval = interval
        self._group = container.group(record)
        self._poller = Poller()
        self._watch = Watch(self._poller, lambda _kills: self._tell(lambda: _print(record, "oom")))

    def run(self) -> None:
        """Return when it has ended, or nobody reads any more."""
        self._watch.restore(_kills(self._group))
        self._watch.begin(self._group)
        self._poller.after(self._interval, self._tick)
        pidfd = os.pidfd_open(self._record.pid)
        try:
            self._poller.watch(pidfd, EPOLLIN, self._ended)
            if self._record.alive():  # and so the descriptor is its own
                self._poller.run()
        finally:
            os.close(pidfd)
            self._watch.end(self._group)
            self._poller.close()

    def _tick(self) -> None:
        self._poller.after(self._interval, self._tick)
        self._tell(lambda: _print_stats(self._record))

    def _ended(self, _events: int) -> None:
        self._poller.stop()

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except OSError:  # nobody reads, or the cgroup has gone
            self._poller.stop()


def seconds(text: str) -> float:
    """Return the length of a time as Go writes it: 500ms, 5s, 1m30s."""
    parts = PART.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        raise RuntimeFailure(f'invalid value "{text}" for flag -interval: time: invalid duration "{text}"', INVALID)
    length = sum(float(number) * UNITS[unit] for number, unit in parts)
    if length <= 0:
        raise RuntimeFailure("duration interval must be greater than 0", INVALID)
    return length


def _kills(group: Cgroup) -> int:
    try:
        return group.oom_kills()
    except OSError:
        return 0  # no memory controller


def _print_stats(record: state.Record) -> None:
    data = container.group(record).details()
    share = resctrl.details(record.id, record.spec.get("linux", {}).get("intelRdt"))
    # runc tells of interfaces that it has made itself, which is none for who has a config.json.
    _print(record, "stats", data={**data, "intel_rdt": share, "network_interfaces": None})


def _print(record: state.Record, kind: str, **rest: object) -> None:
    print(json.dumps({"type": kind, "id": record.id, **rest}, separators=(",", ":")), flush=True)
