"""The kernel killed for want of memory: `oom` events, with the victim's name. Called with what the supervisor reports.

`OOMKilled` says that any process of the container was killed since its start, as the API reference has it.
"""

import asyncio
from typing import Any

from . import kernellog
from .model import Container
from .service import Containers


async def killed(containers: Containers, event: dict[str, Any]) -> None:
    """Settle a report; one of a container that has ended meanwhile came with its end."""
    container = containers.find(event["container"])
    if container is None:
        return
    async with container.lock:
        if container.alive:
            await record(containers, container, event["kills"])


async def record(containers: Containers, container: Container, kills: int) -> None:
    """Record kills of a running container and publish them; the caller holds its lock.

    No kill: it is out of memory, and its OOM killer is disabled.
    """
    if kills and not container.state.oom_killed:
        container.state.oom_killed = True
        containers.save(container)
    await publish(containers, container, kills)


async def publish(containers: Containers, container: Container, kills: int) -> None:
    """Publish the event: Docker's, with an attribute `victim` more where the kernel's log names those that died."""
    names = []
    if kills:
        found = await asyncio.to_thread(kernellog.victims, container.id, container.oom_sequence)
        names = [name for _, name in found[-kills:]]
        container.oom_sequence = max((number for number, _ in found), default=container.oom_sequence)
    containers.publish(container, "oom", **({"victim": ",".join(names)} if names else {}))
