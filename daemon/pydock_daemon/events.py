"""What happened, as durable rows: published by every service, read by GET /events.

A row has a sequence number, so a reader continues where it stopped, across restarts of the daemon. Readers hold no
queue: each is woken and reads the rows after its own number, so that a slow one loses nothing and costs nothing.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .store import Store

SCHEMA = """
create table if not exists events (
    seq integer primary key autoincrement,
    time integer not null,
    type text not null,
    action text not null,
    actor text not null,
    attributes text not null
);
create index if not exists events_time on events (time);
"""

KEEP = 10_000
"""Rows kept; older ones are dropped, in steps of a tenth."""

PAGE = 200
Event = dict[str, Any]


class Events:
    """The event log of one daemon."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._news = asyncio.Event()
        self.readers = 0
        """How many wait for what comes next."""

    def publish(self, type_: str, action: str, actor: str, attributes: dict[str, str]) -> None:
        """Record an event and wake the readers; call it after the change itself is committed."""
        with self._store.transaction() as db:
            row = db.execute(
                "insert into events (time, type, action, actor, attributes) values (?, ?, ?, ?, ?)",
                (time.time_ns(), type_, action, actor, json.dumps(attributes, sort_keys=True)),
            )
            if row.lastrowid and row.lastrowid % (KEEP // 10) == 0:
                db.execute("delete from events where seq <= ?", (row.lastrowid - KEEP,))
        self._news.set()
        self._news = asyncio.Event()

    def last(self) -> int:
        """Return the sequence number of the newest event, 0 when there was none."""
        row = self._store.one("select max(seq) as seq from events")
        return int(row["seq"] or 0) if row else 0

    def between(self, since: int, until: int | None) -> list[Event]:
        """Return the events of a span of time in nanoseconds since the epoch, oldest first."""
        rows = self._store.all(
            "select * from events where time >= ? and time <= ? order by seq", (since, until or 2**62)
        )
        return [_event(row) for row in rows]

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Count a reader while it reads."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1

    def before(self, moment: int) -> int:
        """Return the sequence number after which everything is that happened at a moment or later."""
        row = self._store.one("select min(seq) as seq from events where time >= ?", (moment,))
        return int(row["seq"]) - 1 if row and row["seq"] is not None else self.last()

    async def follow(self, after: int, until: int | None = None) -> AsyncIterator[Event]:
        """Yield every event with a sequence number above `after`: for ever, or up to a moment, which is waited for.

        Both are nanoseconds since the epoch. A reader holds one page of rows, however far behind it is.
        """
        while True:
            news = self._news
            rows = self._store.all(
                "select * from events where seq > ? and time <= ? order by seq limit ?", (after, until or 2**62, PAGE)
            )
            for row in rows:
                after = row["seq"]
                yield _event(row)
            if rows:
                continue
            left = None if until is None else (until - time.time_ns()) / 1e9
            if left is not None and left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await news.wait()


def _event(row: Any) -> Event:
    attributes = json.loads(row["attributes"])
    return {
        "Type": row["type"],
        "Action": row["action"],
        "Actor": {"ID": row["actor"], "Attributes": attributes},
        "scope": "local",
        "time": row["time"] // 1_000_000_000,
        "timeNano": row["time"],
    }
