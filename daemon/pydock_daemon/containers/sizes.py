"""What containers and volumes take on the disk. Used by `system df`, by lists and inspects with sizes, and by prunes.

As Docker's, these are sums of the sizes of files, found by walking. A tree keeps its size as long as no container has
written to it: one that does not run does so when `cp` brings files, one that runs only if it has used its processors.
To volumes the host itself may write as well, so they are walked again after a while, small ones each time.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from pydock_daemon.snapshots.measuring import QUICK, Facts, Measured, Measurement
from pydock_runtime import cgroup

from .model import Container
from .service import Containers

KEPT = 60.0
"""Seconds for which a volume keeps its size."""


async def of_containers(containers: Containers, chosen: Iterable[Container]) -> list[int]:
    """Return the bytes that each container has written in its own layer."""
    wanted = list(chosen)
    found = await _measured(
        Measurement(
            partial(containers.snapshots.usage, one.id),
            _writers(containers, [one]),
            QUICK if one.alive else 0.0,
            one.measured,
        )
        for one in wanted
    )
    for container, measured in zip(wanted, found, strict=True):
        container.measured = measured
    return [measured.size for measured in found]


async def of_volumes(containers: Containers, names: Iterable[str]) -> list[int]:
    """Return the bytes of each volume, in which nothing is mounted."""
    volumes, users, now = containers.volumes, containers.users_of_volumes(), time.monotonic()
    wanted = list(names)
    recent = {name: found for name, found in volumes.measured.items() if now - found.at < KEPT}
    found = await _measured(
        Measurement(partial(volumes.usage, name), _writers(containers, users.get(name, [])), QUICK, recent.get(name))
        for name in wanted
    )
    volumes.measured |= {name: measured for name, measured in zip(wanted, found, strict=True) if volumes.exists(name)}
    return [measured.size for measured in found]


async def _measured(wanted: Iterable[Measurement]) -> list[Measured]:
    """Measure all in one thread: most walks are short, and a thread is not."""
    trees = list(wanted)
    return await asyncio.to_thread(lambda: [tree.made() for tree in trees])


def _writers(containers: Containers, users: list[Container]) -> Callable[[], Facts | None]:
    """Return what reads, in a thread, the facts that are others when one of the containers has written something."""
    known = tuple((user.id, user.state.started_at, user.puts, user.alive) for user in users)
    running = [containers.cgroup_path(user) for user in users if user.alive]

    def facts() -> Facts | None:
        try:
            return known, *(cgroup.open_existing(path).cpu_time() for path in running)
        except (OSError, ValueError, KeyError):
            return None  # one has ended, or the host does not count

    return facts
