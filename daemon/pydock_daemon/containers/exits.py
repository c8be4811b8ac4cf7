"""What follows the end of a container's main process: record, event, waiters, restart policy, `--rm`.

Called with every exit the supervisor reports, and by reconcile with those it reported while nobody listened.
"""

import asyncio
import logging
from typing import Any

from pydock_shared.errors import PydockError

from . import attach, discard, ooms, start, wait
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
        if container.state.status is Status.RESTARTING:
            schedule(containers, container)


async def settle(containers: Containers, container: Container, event: dict[str, Any]) -> None:
    """Record an end and do what follows from it; the caller holds the lock, and starts one that is RESTARTING then."""
    state = container.state
    containers.networks.disconnect(container.id)
    again = wants_restart(container, event["code"])
    if event["finished_at"] - state.started_at >= LONG_RUN:
        container.delay = 0.0
    state.restart_count += again
    untold = event.get("oom") and not state.oom_killed  # it happened while there was no daemon
    state.pid, state.exit_code, state.oom_killed = 0, event["code"], state.oom_killed or bool(untold)
    state.finished_at, state.ports = event["finished_at"], {}
    with containers.moving(container, Status.RESTARTING if again else Status.EXITED):
        pass
    containers.tell_mounts(container, "unmount")
    if untold:
        await ooms.publish(containers, container, 1)
    containers.publish(
        container,
        "die",
        exitCode=str(state.exit_code),
        execDuration=str((state.finished_at - state.started_at) // 10**9),
    )
    containers.supervisor.post("delete", container=container.id, force=True)
    await containers.volumes.mounts.release(container.id)
    wait.answer(container.exits, state.exit_code)
    if again:
        return
    attach.close_pending(container)
    if container.host.auto_remove and not container.stays:
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


def schedule(containers: Containers, container: Container) -> None:
    """Start a container that is RESTARTING after its delay, which doubles until a run lasts ten seconds."""
    container.delay = min(container.delay * 2 or FIRST_DELAY, LONGEST_DELAY)
    container.restart = asyncio.create_task(_after_delay(containers, container), name=f"restart {container.short}")


async def _after_delay(containers: Containers, container: Container) -> None:
    await asyncio.sleep(container.delay)
    container.restart = None
    await try_again(containers, container)


async def try_again(containers: Containers, container: Container) -> None:
    """Start a container that is RESTARTING; a start that fails is tried again, if the policy wants it."""
    async with container.lock:
        if container.state.status is not Status.RESTARTING:
            return
        try:
            await start.launch(containers, container)
        except PydockError as error:
            log.warning("restart of %s failed: %s", container.name, error.message)
            again = wants_restart(container, 128)
            container.state.restart_count += again
            with containers.moving(container, Status.RESTARTING if again else Status.EXITED):
                pass
            if again:
                schedule(containers, container)
            else:
                wait.answer(container.exits, container.state.exit_code)
