"""At start: containers whose restart policy wants them to run are started, each after those it needs. Used by `app`."""

import asyncio
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from . import exits
from .model import Container
from .service import Containers


async def start_all(containers: Containers, wanted: Sequence[Container]) -> None:
    """Start containers that are RESTARTING, at once those that need no other; failures are tried again later.

    A container that waits for its next try already, as after a crash of the supervisor, is left to that.
    """
    due = {container.id: container for container in wanted if container.restart is None}
    sorter = TopologicalSorter({id_: needs(containers, container) & due.keys() for id_, container in due.items()})
    try:
        sorter.prepare()
    except CycleError:
        # Those of a circle fail until one has come up by itself: the policy's next tries sort it out.
        await asyncio.gather(*(exits.try_again(containers, container) for container in due.values()))
        return
    while sorter.is_active():
        ready = sorter.get_ready()
        await asyncio.gather(*(exits.try_again(containers, due[id_]) for id_ in ready))
        sorter.done(*ready)


def needs(containers: Containers, container: Container) -> set[str]:
    """Return the ids of the containers that one shares namespaces or volumes with, or is linked to."""
    host = container.host
    modes = [mode or "" for mode in (host.network_mode, host.pid_mode, host.ipc_mode)]
    names = [mode.removeprefix("container:") for mode in modes if mode.startswith("container:")]
    names += [entry.split(":")[0] for entry in (*(host.volumes_from or ()), *container.links.values())]
    plain = [name.removeprefix("/") for name in names]
    found = [containers.find(name) or containers.named(name) for name in plain]
    return {other.id for other in found if other is not None and other is not container}
