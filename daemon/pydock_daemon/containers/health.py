"""Health checks over time: when containers are probed, and what follows from the results. Made by `app`.

The rules are those of dockerd (daemon/health.go): a first probe after the interval, one probe at a time, failures
within the start period do not count until the first success, the check rests while the container is paused or stopped
(it is then said to be unhealthy) and begins anew with each start. A daemon that starts goes on with what it knew.
A container that waits for its next probe costs one timer and no task.
"""

import asyncio
import logging
import os
import time

from pydock_shared.errors import NotModified, PydockError, Unavailable

from . import kill, probes, restart, stop
from .exec import Execs
from .healthcheck import Check, read
from .model import Container, Health, Status
from .probes import Result
from .service import Containers

log = logging.getLogger("pydockd.health")
STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
KEPT = 5
"""Results that a container's record holds."""


class Monitor:
    """The check of one running container: a timer, or a probe under way. Ended by `end`."""

    def __init__(self, monitors: "Monitors", container: Container, check: Check) -> None:
        self._monitors = monitors
        self._container = container
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(self._pause(), self._fire)

    def end(self) -> None:
        """Probe no more; a probe under way is killed."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _pause(self) -> float:
        """Return the seconds to the next probe: until the first success, a start period has an interval of its own."""
        health, check = self._container.state.health, self._check
        young = time.time_ns() - self._container.state.started_at < check.start_period
        starting = health is None or health.status == STARTING
        return (check.start_interval if young and starting else check.interval) / 1e9

    def _fire(self) -> None:
        self._task = self._loop.create_task(self._probe(), name=f"health {self._container.short}")

    async def _probe(self) -> None:
        start = time.time_ns()
        try:
            result = await probes.probe(self._monitors.execs, self._container, self._check)
        except Unavailable as error:
            log.warning("health of %s is unknown: %s", self._container.name, error.message)
        else:
            if result.exit_code == 0 or _lives(self._container):
                self._monitors.note(self._container, self._check, start, result)
        self._task = None
        self._timer = self._loop.call_later(self._pause(), self._fire)


def _lives(container: Container) -> bool:
    """Say whether the first process is there still; a probe that died with it tells nothing, and word of its end comes.

    A process has no namespaces any more when it begins to take others of its pid namespace with it.
    """
    return os.path.exists(f"/proc/{container.state.pid}/ns/net")


class Monitors:
    """The monitors of all running containers that have a check."""

    def __init__(self, containers: Containers, execs: Execs) -> None:
        self.execs = execs
        self._containers = containers
        self._running: dict[str, Monitor] = {}
        self._actions: set[asyncio.Task[None]] = set()
        self._unsaved: dict[str, Container] = {}

    def moved(self, container: Container, before: Status) -> None:
        """Begin or end the check of a container whose status changes; the caller saves the record."""
        self._unsaved.pop(container.id, None)
        if container.state.status is Status.RUNNING:
            check = read(container.config)
            if check is None:
                return
            known = container.state.health or Health()
            if before is not Status.PAUSED:
                known.status, known.streak = STARTING, 0
            container.state.health = known
            self._begin(container, check)
        elif container.id in self._running:
            self._running.pop(container.id).end()
            if container.state.health is not None:
                container.state.health.status = UNHEALTHY

    def adopt(self) -> None:
        """Begin the checks of containers that run already, as after a restart of the daemon; their state stays."""
        for container in self._containers:
            if container.state.status is not Status.RUNNING and container.id in self._running:
                self._running.pop(container.id).end()
            elif container.state.status is Status.RUNNING and container.id not in self._running:
                check = read(container.config)
                if check is not None:
                    container.state.health = container.state.health or Health()
                    self._begin(container, check)

    def _begin(self, container: Container, check: Check) -> None:
        running = self._running.pop(container.id, None)
        if running is not None:
            running.end()
        self._running[container.id] = Monitor(self, container, check)

    def note(self, container: Container, check: Check, start: int, result: Result) -> None:
        """Record a result; a change of the status is an event, and may be followed by the action asked for."""
        health = container.state.health or Health()
        entry = {"start": start, "end": time.time_ns(), "exit_code": result.exit_code, "output": result.output}
        before, health.log = health.status, [*health.log[1 - KEPT :], entry]
        if result.exit_code == 0:
            health.status, health.streak = HEALTHY, 0
        elif before != STARTING or start - container.state.started_at >= check.start_period:
            health.streak += 1
            if health.streak >= check.retries:
                health.status = UNHEALTHY
        container.state.health = health
        if health.status != before or result.exit_code:
            self._containers.save(container)
            self._unsaved.pop(container.id, None)
        else:
            # One more success is worth no write each second: it is on disk with the next that is, or at the end.
            self._unsaved[container.id] = container
        if health.status != before:
            self._containers.publish(container, f"health_status: {health.status}")
            if health.status == UNHEALTHY and not container.state.stopped_by_user:
                self._act(container, check.action)

    def _act(self, container: Container, action: str) -> None:
        if action != "none":
            task = asyncio.create_task(_carry_out(self._containers, container, action), name=f"unhealthy {action}")
            self._actions.add(task)
            task.add_done_callback(self._actions.discard)

    def close(self) -> None:
        """End every monitor and action; the containers go on."""
        for monitor in self._running.values():
            monitor.end()
        for task in self._actions:
            task.cancel()
        for container in self._unsaved.values():
            self._containers.save(container)


async def _carry_out(containers: Containers, container: Container, action: str) -> None:
    log.info("container %s is unhealthy: %s", container.name, action)
    try:
        if action == "restart":
            await restart.restart(containers, container, signal=None, timeout=None)
        elif action == "stop":
            await stop.stop(containers, container, signal=None, timeout=None)
        else:
            await kill.kill(containers, container, "KILL", by_user=False)
    except NotModified:
        return
    except PydockError as error:
        log.warning("%s of unhealthy container %s failed: %s", action, container.name, error.message)
