"""The shippers of one daemon, by container; made by app, used by start, discard and reconcile."""

import asyncio
import contextlib
import logging
from pathlib import Path

from pydock_daemon.containers.logdrivers import info
from pydock_daemon.containers.logdrivers.options import REMOTE
from pydock_daemon.containers.logdrivers.settings import LoggingError, driver_of
from pydock_daemon.containers.model import Container, Status

from .base import Driver
from .drivers import make
from .shipper import Shipper

log = logging.getLogger("pydockd.shipping")
PATIENCE = 10
"""Seconds without progress that a container about to be removed waits for its last lines to arrive, Docker's figure.

One second when its server does not answer."""


class Shipping:
    """Owns a shipper for each container of a remote driver that runs, or whose last lines have not arrived."""

    def __init__(self) -> None:
        self._shippers: dict[str, Shipper] = {}

    async def connect(self, container: Container, environment: list[str]) -> Driver | None:
        """Return the connection for a start, None: its lines go nowhere. Raises LoggingError, as Docker's starts do."""
        name = driver_of(container)
        if name not in REMOTE:
            return None
        driver = make(name, info.of(container, environment))
        if driver.waits:
            try:
                await driver.connect()
            except OSError as error:
                driver.close()
                raise LoggingError(str(error)) from error
        return driver

    def begin(self, container: Container, path: Path, driver: Driver) -> None:
        """Send what a started container prints; owns the driver."""
        shipper = self._shippers.get(container.id)
        if shipper is not None and not shipper.task.done():
            shipper.renew(driver)
            return

        def stopped() -> bool:
            return not container.alive and container.state.status is not Status.RESTARTING

        shipper = Shipper(container.name, path, driver, stopped)
        self._shippers[container.id] = shipper
        shipper.task.add_done_callback(lambda task: self._ended(container.id, task))

    def resume(self, container: Container, path: Path, environment: list[str]) -> None:
        """Go on after pydockd has been away: with what runs, and with what has not arrived."""
        name = driver_of(container)
        if name in REMOTE and container.id not in self._shippers and path.exists():
            with contextlib.suppress(LoggingError):
                self.begin(container, path, make(name, info.of(container, environment)))

    async def finish(self, container: Container) -> None:
        """Let the last lines of an ended container arrive, if they can be sent at all; it is removed then."""
        shipper = self._shippers.get(container.id)
        if shipper is None:
            return
        shipper.wake()
        waited, sent = 0, shipper.sent
        while not shipper.task.done() and waited < (PATIENCE if shipper.reached else 1):
            await asyncio.wait([shipper.task], timeout=1)
            waited = waited + 1 if shipper.sent == sent else 0
            sent = shipper.sent
        await _cancel(shipper)

    async def close(self) -> None:
        """End all: what was not sent is sent by the next daemon."""
        for shipper in list(self._shippers.values()):
            await _cancel(shipper)

    def _ended(self, id_: str, task: asyncio.Task[None]) -> None:
        if self._shippers.get(id_) is not None and self._shippers[id_].task is task:
            del self._shippers[id_]
        if not task.cancelled() and task.exception() is not None:
            log.error("shipper of %s ended", id_[:12], exc_info=task.exception())


async def _cancel(shipper: Shipper) -> None:
    shipper.task.cancel()
    await asyncio.wait([shipper.task])
