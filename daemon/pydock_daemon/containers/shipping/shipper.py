"""One container's log on its way: follows the file, sends what comes, and keeps in a cursor what has arrived.

Made by service, which cancels it. Nothing is kept in memory but one block of the file: what cannot be sent stays there,
in order, and is tried again. The cursor is written after the other side has a block: a record may be sent twice, when
pydockd ends in between or a connection breaks, and is never left out.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from pydock_daemon.containers.logdrivers.settings import cursor_path
from pydock_daemon.inotify import FolderWatch
from pydock_runtime.supervisor.logformat import CURSOR
from pydock_shared.errors import PydockError

from .base import Driver
from .records import Record, Splitter
from .spool import Spool

log = logging.getLogger("pydockd.shipping")
QUIET = 1.0  # seconds after which the end of the container is looked for, should nothing be told
GROUP = 1024  # records that are sent in one go, and then once more when it fails
DROPPED = "log of %s: lines were dropped before they could be sent on"
FAILED = 5.0  # seconds before a file that cannot be read is tried again


class Cursor:
    """The place in a log up to which all has arrived: the file's beginning and an offset, see logformat."""

    def __init__(self, log_path: Path) -> None:
        path = cursor_path(log_path)
        path.parent.mkdir(mode=0o710, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def read(self) -> tuple[int, int]:
        """Return the place, zeros when nothing has been sent."""
        data = os.pread(self._fd, CURSOR.size, 0)
        begin, at = CURSOR.unpack(data) if len(data) == CURSOR.size else (0, 0)
        return begin, at

    def write(self, begin: int, at: int) -> None:
        """Keep the place. One small write: a reader sees all of it or none."""
        os.pwrite(self._fd, CURSOR.pack(begin, at), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Shipper:
    """Sends the log of one container until that has ended and all has arrived."""

    def __init__(self, name: str, path: Path, driver: Driver, stopped: Callable[[], bool]) -> None:
        self._name = name
        self._path = path
        self._driver = driver
        self._next: Driver | None = None
        self._stopped = stopped
        self._watch: FolderWatch | None = None
        self.reached = True
        self.sent = 0
        self.task = asyncio.create_task(self._run(), name=f"shipper of {name}")

    def renew(self, driver: Driver) -> None:
        """Send through another connection from the next block on: the container has started anew."""
        if self._next is not None:
            self._next.close()
        self._next = driver

    def wake(self) -> None:
        """Look at once whether the container has ended."""
        if self._watch is not None:
            self._watch.wake()

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._follow()
                    if self._next is None:
                        return
                    self._take_next()  # started anew at the very moment
                except (OSError, PydockError) as error:
                    # Of the log, not of the connection. A removed container's is gone, and so is its shipper.
                    if not self._path.parent.is_dir():
                        return
                    log.warning("log of %s cannot be sent on: %s", self._name, error)
                    await asyncio.sleep(FAILED)
        finally:
            self._driver.close()
            if self._next is not None:
                self._next.close()

    def _take_next(self) -> None:
        if self._next is not None:
            self._driver.close()
            self._driver, self._next = self._next, None

    async def _follow(self) -> None:
        with ExitStack() as stack:
            self._watch = stack.enter_context(FolderWatch(self._path.parent))
            cursor = Cursor(self._path)
            stack.callback(cursor.close)
            spool = Spool(self._path)
            stack.callback(spool.close)
            if not await asyncio.to_thread(spool.start_at, *cursor.read()):
                log.warning(DROPPED, self._name)
            splitter = Splitter()
            while True:
                # Asked before reading: what was written before the stop is read after it.
                ended = self._stopped()
                batches = await asyncio.to_thread(spool.read)
                if batches is None:
                    if ended:
                        return
                    await self._watch.wait(QUIET)
                    continue
                if spool.lost:
                    log.warning(DROPPED, self._name)
                    spool.lost = False
                records = splitter.records(batches)
                while group := list(islice(records, GROUP)):
                    await self._deliver(group)
                cursor.write(*spool.place())

    async def _deliver(self, records: list[Record]) -> None:
        """Send some records, trying again as long as the driver wants to."""
        attempt = 0
        while True:
            self._take_next()
            try:
                await self._driver.connect()
                await self._driver.send(records)
            except OSError as error:
                self._driver.close()
                attempt += 1
                if attempt == 1 and self.reached:
                    log.warning("log of %s cannot be sent on, trying again: %s", self._name, error)
                self.reached = False
                limit = self._driver.retry.attempts
                if limit is not None and attempt > limit:
                    log.warning("log of %s: %d records given up after %d attempts", self._name, len(records), attempt)
                    return
                await asyncio.sleep(self._driver.retry.wait(attempt))
            else:
                if not self.reached:
                    log.info("log of %s is sent on again", self._name)
                self.reached = True
                self.sent += len(records)
                return
