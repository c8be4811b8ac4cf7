"""The systemd driver: a container's cgroup is a scope that systemd makes and knows of. Used by `container`.

A scope lives as long as there is a process in it, so it is made around a helper, which goes when init has joined. It is
delegated: what is in it is ours. Limits are told to systemd too, because it would set its own when it looks again.
Source: systemd.resource-control(5), org.freedesktop.systemd1(5), and what runc asks for.
"""

from __future__ import annotations

import contextlib
import os
import signal

from pydock_runtime import abi, dbus, linux
from pydock_runtime.cgroup import layout, v2
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

WHERE = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
NAME = "org.freedesktop.systemd1"
SLICE, PREFIX = "system.slice", "runc"
INFINITY = (1 << 64) - 1
EXISTS = "org.freedesktop.systemd1.UnitExists"
SECOND = 1_000_000
ACCOUNTING = ("MemoryAccounting", "CPUAccounting", "TasksAccounting")


class Unit:
    """The scope of a container: `name`, the `slice` that it is in, and `path`, its cgroup's."""

    __slots__ = ("name", "path", "slice")

    def __init__(self, cgroups_path: str, id: str) -> None:
        """Take `slice:prefix:name` of a spec, or nothing. RuntimeFailure: it is neither."""
        parts = cgroups_path.split(":") if cgroups_path else ["", "", id]
        if len(parts) != 3:
            raise RuntimeFailure(
                'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
                f'got "{cgroups_path}" instead',
                INVALID,
            )
        self.slice = parts[0] or SLICE
        prefix = parts[1] or ("" if cgroups_path else PREFIX)
        self.name = f"{prefix}-{parts[2]}.scope" if prefix else f"{parts[2]}.scope"
        self.path = f"{expand(self.slice)}/{self.name}"


def expand(slice: str) -> str:
    """Return the cgroup path of a slice: that of `a-b.slice` is /a.slice/a-b.slice. RuntimeFailure: it is no name."""
    name = slice.removesuffix(".slice")
    if name == "-":
        return ""
    if name == slice or "/" in name or not all(name.split("-")):
        raise RuntimeFailure(f"invalid slice name: {slice}", INVALID)
    parts = name.split("-")
    return "".join(f"/{'-'.join(parts[: count + 1])}.slice" for count in range(len(parts)))


@contextlib.contextmanager
def scope(unit: Unit, id: str, resources: dict[str, Any]) -> Iterator[None]:
    """Let systemd make a scope, which is there for the block and goes on while somebody is in it. RuntimeFailure."""
    helper = os.fork()
    if not helper:
        _wait_for_the_end()
    try:
        _start(unit.name, [
            ("Description", ("s", f"container {id}")),
            ("Slice", ("s", unit.slice)),
            ("Delegate", ("b", True)),
            ("DefaultDependencies", ("b", False)),
            ("PIDs", ("au", [helper])),
            *((name, ("b", True)) for name in ACCOUNTING),
            *properties(resources, unified=not layout.of_host().hierarchies),
        ])  # fmt: skip
        yield
    finally:
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)


def _wait_for_the_end() -> None:
    try:
        linux.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        while True:
            signal.pause()
    finally:
        os._exit(0)


def _start(name: str, wanted: list[Property]) -> None:
    with dbus.Connection() as bus:
        bus.call(*WHERE, "Subscribe", destination=NAME)
        arguments: list[Any] = ["StartTransientUnit", "ssa(sv)a(sa(sv))", name, "replace", wanted, []]
        try:
            (job,) = bus.call(*WHERE, *arguments, destination=NAME)
        except dbus.Failed as error:
            if error.name != EXISTS:
                raise
            # One of that name has failed before, and systemd keeps it to be looked at.
            bus.call(*WHERE, "ResetFailedUnit", "s", name, destination=NAME)
            (job,) = bus.call(*WHERE, *arguments, destination=NAME)
        result = bus.wait("JobRemoved", lambda body: body[1] == job)[3]
    if result != "done":
        raise RuntimeFailure(f"systemd did not make {name}: {result}")


def update(name: str, resources: dict[str, Any]) -> None:
    """Tell systemd of new limits."""
    wanted = properties(resources, unified=not layout.of_host().hierarchies)
    if wanted:
        with dbus.Connection() as bus:
            bus.call(*WHERE, "SetUnitProperties", "sba(sv)", name, True, wanted, destination=NAME)


def stop(name: str) -> None:
    """Let systemd forget a scope; one that is gone is no error."""
    with contextlib.suppress(RuntimeFailure), dbus.Connection() as bus:
        with contextlib.suppress(dbus.Failed):
            bus.call(*WHERE, "StopUnit", "ss", name, "replace", destination=NAME)
        with contextlib.suppress(dbus.Failed):
            bus.call(*WHERE, "ResetFailedUnit", "s", name, destination=NAME)


def properties(resources: dict[str, Any], *, unified: bool) -> list[Property]:
    """Return the limits of a spec that systemd has properties for."""
    memory, cpu, pids = (resources.get(key) or {} for key in ("memory", "cpu", "pids"))
    found: list[tuple[str, int]] = []
    limit = memory.get("limit")
    if limit is not None:
        found.append(("MemoryMax" if unified else "MemoryLimit", INFINITY if limit == -1 else limit))
    if unified and memory.get("reservation"):
        found.append(("MemoryLow", memory["reservation"]))
    if unified and memory.get("swap") is not None and limit is not None:
        # The spec's swap is memory and swap together.
        found.append(("MemorySwapMax", INFINITY if memory["swap"] == -1 else max(memory["swap"] - limit, 0)))
    if cpu.get("shares"):
        found.append(("CPUWeight", v2.weight(cpu["shares"])) if unified else ("CPUShares", cpu["shares"]))
    if cpu.get("quota"):
        found.append(("CPUQuotaPerSecUSec", _per_second(cpu["quota"], cpu.get("period") or 100_000)))
        if cpu.get("period"):
            found.append(("CPUQuotaPeriodUSec", cpu["period"]))
    if pids.get("limit") is not None:
        found.append(("TasksMax", pids["limit"] if pids["limit"] > 0 else INFINITY))
    return [(name, ("t", value)) for name, value in found]


def _per_second(quota: int, period: int) -> int:
    """Return the microseconds in each second, in the steps of 10 ms that systemd keeps, upwards."""
    if quota < 0:
        return INFINITY
    each = quota * SECOND // period
    return each + -each % 10_000
