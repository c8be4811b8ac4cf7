"""The database of pydockd: one SQLite file in WAL mode, one writer, explicit transactions.

The file is locked for one daemon alone, which so needs no shared memory file beside it: a new one of those could not be
made on a full disk. Used on the event-loop thread only; a commit costs about 15 us (`synchronous=NORMAL`: a power cut
may lose the last transactions, never the consistency; a crash of the daemon loses nothing). Every noun declares its own
tables as `SCHEMA` and passes them to `Store.open`. The store owns the connection until `close`.

A full disk must not keep the end of a container from being written down, nor an image from being removed. So the
database has room set aside: its log has the size from the start that it would get anyhow, and its file has free pages.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOG = 1200 * 4096
"""Bytes of the write-ahead log: SQLite begins it anew after a thousand pages."""
FREE_PAGES = 256


def _set_room_aside(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA freelist_count").fetchone()[0] < FREE_PAGES // 4:
        # Two transactions with a checkpoint between, for pages that are freed at once never come to the disk.
        db.execute("create table if not exists room (data blob)")
        db.execute("insert into room values (randomblob(?))", (FREE_PAGES * 4096,))
        db.execute("PRAGMA wal_checkpoint")
        db.execute("drop table room")
    log = os.open(f"{path}-wal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(log, 0, LOG)
    finally:
        os.close(log)


def _is_full(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


class Store:
    """A connection and the transaction that may be open on it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._depth = 0

    @classmethod
    def open(cls, path: Path, schemas: Sequence[str]) -> "Store":
        """Open or create the database and make the tables that are missing."""
        db = sqlite3.connect(path, isolation_level=None)
        db.row_factory = sqlite3.Row
        for pragma in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=2000",
        ):
            db.execute(f"PRAGMA {pragma}")
        for schema in schemas:
            db.executescript(schema)
        with suppress(OSError, sqlite3.OperationalError):
            _set_room_aside(db, path)
        return cls(db)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit at the end of the block, roll back when it raises; a block inside another joins it."""
        if self._depth:
            yield self._db
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if _is_full(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise
        finally:
            self._depth -= 1

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return every row of a query."""
        return self._db.execute(sql, args).fetchall()

    def one(self, sql: str, args: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        row: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
        return row

    def problems(self) -> list[str]:
        """Return what the database finds wrong with itself: pages, and rows that name others which are not there."""
        found = [str(row[0]) for row in self._db.execute("pragma quick_check") if row[0] != "ok"]
        for table, row, parent, _ in self._db.execute("pragma foreign_key_check"):
            found.append(f"row {row} of {table} names a row of {parent} that is not there")
        return found

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded into the file."""
        self._db.close()
