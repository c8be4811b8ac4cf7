"""What containers and volumes take on the disk. Used by `system df`, by lists and inspects with sizes, and by prunes.

As Docker's, these are sums of the sizes of files, found by walking. A tree keeps its size as long as no container has
written to it: one that does not run does so when `cp` brings files, one that runs only if it has used its processors.
To volumes the host itself may write as well, so they are walked again after a while, small ones each time.

What is known of containers when the daemon ends is known to the next one: `remember` and `recall`, called by `app`.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from pydock_daemon.snapshots.measuring import QUICK, Facts, Measured, Measurement
from pydock_runtime import cgroup

from .model import Container
from .service import Containers

SCHEMA = """
create table if not exists sizes (
    container text primary key,
    size integer not null,
    facts text not null
);
"""

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


def remember(containers: Containers) -> None:
    """Write down, at the end of the daemon, what the next one need not walk; on a full disk it will."""
    known = ((one, one.measured) for one in containers if one.measured and one.measured.facts)
    rows = [(one.id, found.size, json.dumps([one.puts, found.facts])) for one, found in known]
    with suppress(OSError), containers.store.transaction() as db:
        db.executemany("insert into sizes values (?, ?, ?)", rows)


def recall(containers: Containers) -> None:
    """Read what was written down, once: a daemon that is killed has not said what was written in its time."""
    for row in containers.store.all("select * from sizes"):
        container, (puts, (known, *times)) = containers.find(row["container"]), json.loads(row["facts"])
        if container:
            container.puts = puts
            facts = tuple(map(tuple, known)), *times
            container.measured = Measured(row["size"], at=0.0, quick=False, facts=facts)
    with containers.store.transaction() as db:
        db.execute("delete from sizes")


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
