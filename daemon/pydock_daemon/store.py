"""The database of pydockd: one SQLite file in WAL mode, one writer, explicit transactions.

Used on the event-loop thread only; a commit costs about 15 us (`synchronous=NORMAL`: a power cut may lose the last
transactions, never the consistency; a crash of the daemon loses nothing). Every noun declares its own tables as
`SCHEMA` and passes them to `Store.open`. The store owns the connection until `close`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=2000"):
            db.execute(f"PRAGMA {pragma}")
        for schema in schemas:
            db.executescript(schema)
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
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        else:
            self._db.execute("COMMIT")
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
