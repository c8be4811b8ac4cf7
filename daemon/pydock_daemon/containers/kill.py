"""`POST /containers/{id}/kill`: a signal to process 1. Used by api.containers and by the action of a health check."""

import signal as signals

from pydock_shared.errors import Conflict

from . import pause, stop
from .model import Container, Status
from .service import Containers
from .signals import number


async def kill(containers: Containers, container: Container, signal: str, *, by_user: bool = True) -> None:
    """Send a signal, and in the case of KILL wait for the end; Conflict when there is no process.

    A user's KILL, TERM or stop signal is the last word: the restart policy starts nothing after it. As in Docker a
    paused container then goes on, so that it can notice. Any other signal leaves the policy as it is: dockerd takes
    some of them for a stop as well, and a container that was told to reload its files is never restarted again.
    """
    value = number(signal or "KILL")
    last = value in (signals.SIGKILL, signals.SIGTERM, number(container.config.stop_signal or "TERM"))
    if container.state.status is Status.RESTARTING and last:
        await stop.give_up_restart(containers, container)
        return
    if not container.alive:
        raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
    if by_user and last:
        container.state.stopped_by_user = True
        containers.save(container)
    if value == signals.SIGKILL:
        await stop.end(containers, container, value, stop.DEFAULT_TIMEOUT)
        return
    await stop.send(containers, container, value)
    containers.publish(container, "kill", signal=str(value))
    if last and container.state.status is Status.PAUSED:
        await pause.unpause(containers, container)
