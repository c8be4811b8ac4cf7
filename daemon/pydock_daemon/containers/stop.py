"""Ending a container: stop, kill, restart. Used by api.containers and by forced removal.

Stop sends the stop signal, waits, then sends KILL. When process 1 has no handler for the signal, the kernel drops it
(pid_namespaces(7)) and waiting is useless: KILL follows at once.
"""

import asyncio
import signal as signals
from pathlib import Path

from pydock_shared.errors import Conflict, InvalidArgument, NotFound, NotModified

from . import wait
from .model import Container, Status
from .service import Containers
from .start import start

DEFAULT_TIMEOUT = 10
AFTER_KILL = 10.0


def number(text: str) -> int:
    """Return the number of a signal given as `TERM`, `SIGTERM` or `15`; InvalidArgument with Docker's words."""
    word = text.upper().removeprefix("SIG")
    if word.isdigit() and 0 < int(word) < 65:
        return int(word)
    realtime, _, offset = word.partition("+") if "+" in word else word.partition("-")
    if realtime in ("RTMIN", "RTMAX") and (not offset or offset.isdigit()):
        base = signals.SIGRTMIN if realtime == "RTMIN" else signals.SIGRTMAX
        return base + int(offset or 0) * (1 if realtime == "RTMIN" else -1)
    try:
        return int(signals.Signals[f"SIG{word}"])
    except KeyError as error:
        raise InvalidArgument(f"invalid signal: {text}") from error


async def kill(containers: Containers, container: Container, signal: str, *, by_user: bool = True) -> None:
    """Send a signal to process 1; Conflict when there is none. A user's is the last word, whatever the policy says."""
    value = number(signal or "KILL")
    if not container.alive:
        raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
    if by_user and value in (signals.SIGKILL, signals.SIGTERM, number(container.config.stop_signal or "TERM")):
        container.state.stopped_by_user = True
        containers.save(container)
    if container.state.status is Status.PAUSED and value == signals.SIGKILL:
        await containers.supervisor.request("resume", container=container.id)
    await _send(containers, container, value)
    containers.publish(container, "kill", signal=str(value))


async def stop(containers: Containers, container: Container, *, signal: str | None, timeout: int | None) -> None:
    """End a container gently, then by force; NotModified when it does not run. A negative timeout waits forever."""
    container.state.stopped_by_user = True
    containers.save(container)
    if container.state.status is Status.RESTARTING:
        await _cancel_restart(containers, container)
        return
    if not container.alive:
        raise NotModified("container already stopped")
    value = number(signal or container.config.stop_signal or "TERM")
    seconds = timeout if timeout is not None else container.config.stop_timeout
    await end(containers, container, value, DEFAULT_TIMEOUT if seconds is None else seconds)
    containers.publish(container, "stop")


async def end(containers: Containers, container: Container, signal: int, seconds: int) -> None:
    """Send a signal, wait that long, send KILL, and return when the container has ended."""
    ended = wait.prepare(container, "not-running")
    if ended.done():
        return
    if container.state.status is Status.PAUSED:
        await containers.supervisor.request("resume", container=container.id)
    await _send(containers, container, signal)
    containers.publish(container, "kill", signal=str(signal))
    patience = None if seconds < 0 else float(seconds) if heeds(container.state.pid, signal) else 0.0
    try:
        await asyncio.wait_for(asyncio.shield(ended), patience)
    except TimeoutError:
        await _send(containers, container, signals.SIGKILL)
        if signal != signals.SIGKILL:
            containers.publish(container, "kill", signal=str(int(signals.SIGKILL)))
        await asyncio.wait_for(ended, AFTER_KILL)


async def restart(containers: Containers, container: Container, *, signal: str | None, timeout: int | None) -> None:
    """Stop the container if it runs, and start it."""
    if container.alive:
        value = number(signal or container.config.stop_signal or "TERM")
        seconds = timeout if timeout is not None else container.config.stop_timeout
        container.state.stopped_by_user = True
        await end(containers, container, value, DEFAULT_TIMEOUT if seconds is None else seconds)
    await start(containers, container)
    containers.publish(container, "restart")


def heeds(pid: int, signal: int) -> bool:
    """Say whether process 1 of a container can notice a signal sent from outside: SIGKILL, or one it has a handler for.

    A blocked signal may be read by signalfd(2) or sigwait(3), so it counts as noticed.
    """
    if signal in (signals.SIGKILL, signals.SIGSTOP):
        return True
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigCgt:", "SigBlk:"))]
    return any(mask >> (signal - 1) & 1 for mask in masks)


async def _send(containers: Containers, container: Container, signal: int) -> None:
    try:
        await containers.supervisor.request("signal", container=container.id, signal=signal)
    except NotFound as error:
        if container.alive:
            raise Conflict(f"cannot kill container: {container.name}: no such process") from error


async def _cancel_restart(containers: Containers, container: Container) -> None:
    async with container.lock:
        if container.restart:
            container.restart.cancel()
            container.restart = None
        if container.state.status is Status.RESTARTING:
            with containers.moving(container, Status.EXITED):
                pass
            wait.answer(container.exits, container.state.exit_code)
            containers.publish(container, "stop")
