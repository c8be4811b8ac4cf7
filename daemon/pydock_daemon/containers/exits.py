"""What follows the end of a container's main process: record, event, waiters, restart policy, `--rm`.

Called with every exit the supervisor reports, and by reconcile with those it reported while nobody listened.
"""

import asyncio
import logging
from typing import Any

from pydock_shared.errors import PydockError

from . import attach, discard, start, wait
from .model import Container, Status
from .service import Containers

log = logging.getLogger("pydockd.containers")

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
LONG_RUN = 10_000_000_000
"""A run of ten seconds makes the next delay the first one again, as in Docker."""


async def exited(containers: Containers, event: dict[str, Any]) -> None:
    """Settle the end of a container's main process; an end that is already settled is left alone."""
    container = containers.find(event["container"])
    if container is None:
        return
    async with container.lock:
        if not container.alive:
            return
        await settle(containers, container, event)


async def settle(containers: Containers, container: Container, event: dict[str, Any]) -> None:
    """Record an end and do what follows from it; the caller holds the lock."""
    state = container.state
    containers.networks.disconnect(container.id)
    again = wants_restart(container, event["code"])
    long_run = event["finished_at"] - state.started_at >= LONG_RUN
    state.pid, state.exit_code, state.oom_killed = 0, event["code"], bool(event.get("oom"))
    state.finished_at, state.ports = event["finished_at"], {}
    with containers.moving(container, Status.RESTARTING if again else Status.EXITED):
        pass
    if state.oom_killed:
        containers.publish(container, "oom")
    containers.publish(
        container,
        "die",
        exitCode=str(state.exit_code),
        execDuration=str((state.finished_at - state.started_at) // 10**9),
    )
    containers.supervisor.post("delete", container=container.id, force=True)
    wait.answer(container.exits, state.exit_code)
    if again:
        schedule(containers, container, fresh=long_run)
        return
    attach.close_pending(container)
    if container.host.auto_remove:
        await discard.discard(containers, container, volumes=True)


def wants_restart(container: Container, code: int) -> bool:
    """Say whether the policy restarts a container that ended with this code."""
    policy, state = container.host.restart_policy, container.state
    if policy is None or state.stopped_by_user:
        return False
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure" and code != 0:
        most = policy.maximum_retry_count or 0
        return most == 0 or state.restart_count < most
    return False


def schedule(containers: Containers, container: Container, *, fresh: bool) -> None:
    """Restart a container after its delay, which doubles with every run shorter than ten seconds."""
    container.delay = FIRST_DELAY if fresh else min(container.delay * 2 or FIRST_DELAY, LONGEST_DELAY)
    container.restart = asyncio.create_task(_restart(containers, container), name=f"restart {container.short}")


async def _restart(containers: Containers, container: Container) -> None:
    await asyncio.sleep(container.delay)
    async with container.lock:
        container.restart = None
        if container.state.status is not Status.RESTARTING:
            return
        container.state.restart_count += 1
        try:
            await start.launch(containers, container)
        except PydockError as error:
            log.warning("restart of %s failed: %s", container.name, error.message)
            if wants_restart(container, 128):
                schedule(containers, container, fresh=False)
                return
            with containers.moving(container, Status.EXITED):
                pass
            wait.answer(container.exits, container.state.exit_code)
