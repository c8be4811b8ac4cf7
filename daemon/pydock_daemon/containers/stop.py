"""`POST /containers/{id}/stop`, and the end of a container by force. Used by api.containers, `restart`, `remove`.

Stop sends the stop signal, waits, then sends KILL. When process 1 has no handler for the signal, waiting is useless:
KILL follows at once, see `signals.heeds`.
"""

import asyncio
import contextlib
import signal as signals

from pydock_shared.errors import Conflict, InvalidArgument, NotFound, NotModified, PydockError

from . import wait
from .model import Container, Status
from .service import Containers
from .signals import heeds, number

DEFAULT_TIMEOUT = 10
AFTER_KILL = 10.0
"""Seconds that a killed container has to be gone; a process that hangs in the kernel is not waited for for ever."""


async def stop(containers: Containers, container: Container, *, signal: str | None, timeout: int | None) -> None:
    """End a container gently, then by force; NotModified when it does not run. A negative timeout waits forever."""
    if container.state.status is Status.RESTARTING:
        await give_up_restart(containers, container)
        return
    if not container.alive:
        raise NotModified("container already stopped")
    try:
        value = number(signal or container.config.stop_signal or "TERM")
    except InvalidArgument as error:
        raise InvalidArgument(f"cannot stop container: {container.name}: {error.message}") from error
    container.state.stopped_by_user = True
    containers.save(container)
    seconds = timeout if timeout is not None else container.config.stop_timeout
    await end(containers, container, value, DEFAULT_TIMEOUT if seconds is None else seconds)
    containers.publish(container, "stop")


async def end(containers: Containers, container: Container, signal: int, seconds: int) -> None:
    """Send a signal, wait that long, send KILL, and return when the container has ended."""
    ended = wait.prepare(container, "not-running")
    if ended.done():
        return
    patience = None if seconds < 0 else float(seconds) if heeds(container.state.pid, signal) else 0.0
    if signal == signals.SIGKILL:
        await _kill(containers, container)
    else:
        await _thaw(containers, container)
        await send(containers, container, signal)
    containers.publish(container, "kill", signal=str(signal))
    try:
        await asyncio.wait_for(asyncio.shield(ended), patience)
    except TimeoutError:
        await _force(containers, container, ended, told=signal == signals.SIGKILL)


async def _force(containers: Containers, container: Container, ended: asyncio.Future[int], *, told: bool) -> None:
    await _kill(containers, container)
    if not told:
        containers.publish(container, "kill", signal=str(int(signals.SIGKILL)))
    try:
        await asyncio.wait_for(ended, AFTER_KILL)
    except TimeoutError as error:
        raise PydockError(
            f"cannot stop container: {container.name}: tried to kill container, but did not receive an exit event"
        ) from error


async def _kill(containers: Containers, container: Container) -> None:
    """Send KILL to one that is not frozen, and will not be: with cgroup v1 a frozen process does not die."""
    async with container.lock:
        await _thaw(containers, container)
        await send(containers, container, signals.SIGKILL)
        container.killed = container.state.started_at


async def _thaw(containers: Containers, container: Container) -> None:
    if container.state.status is Status.PAUSED:
        with contextlib.suppress(NotFound, Conflict):  # it has just ended
            await containers.supervisor.request("resume", container=container.id)


async def send(containers: Containers, container: Container, signal: int) -> None:
    """Send a signal to process 1; nothing happens when it has just ended, and word of that is on its way."""
    with contextlib.suppress(NotFound, Conflict):
        await containers.supervisor.request("signal", container=container.id, signal=signal)


async def give_up_restart(containers: Containers, container: Container) -> None:
    """End a container that waits for its next try."""
    container.state.stopped_by_user = True
    async with container.lock:
        if container.restart:
            container.restart.cancel()
            container.restart = None
        if container.state.status is Status.RESTARTING:
            with containers.moving(container, Status.EXITED):
                pass
            wait.answer(container.exits, container.state.exit_code)
            containers.publish(container, "stop")
