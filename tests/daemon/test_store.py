"""The database: what a transaction promises."""

import os
import sqlite3
import subprocess
from contextlib import suppress

import pytest

from pydock_daemon.store import Store

SCHEMA = "create table if not exists things (name text primary key);"


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "db", [SCHEMA])
    yield opened
    opened.close()


@pytest.fixture
def disk(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def names(store):
    return [row["name"] for row in store.all("select name from things order by name")]


def crash_after_an_insert(path):
    if not (child := os.fork()):
        store = Store.open(path, [SCHEMA])
        with store.transaction() as db:
            db.execute("insert into things values ('a')")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_commit_at_the_end_of_the_block(store):
    with store.transaction() as db:
        db.execute("insert into things values ('a')")
    assert names(store) == ["a"]


def test_everything_rolled_back_when_the_block_raises(store):
    def failing():
        with store.transaction() as db:
            db.execute("insert into things values ('a')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert names(store) == []


def test_a_block_inside_another_joins_it(store):
    def failing():
        with store.transaction() as db:
            db.execute("insert into things values ('a')")
            with store.transaction() as inner:
                inner.execute("insert into things values ('b')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert names(store) == []


def test_what_was_committed_is_there_after_opening_again(tmp_path):
    crash_after_an_insert(tmp_path / "db")
    opened = Store.open(tmp_path / "db", [SCHEMA])
    assert names(opened) == ["a"]
    opened.close()


def test_after_a_crash_a_full_disk_keeps_nobody_from_opening_and_writing(disk):
    crash_after_an_insert(disk / "db")
    (disk / "db-shm").unlink(missing_ok=True)  # SQLite may have to make it anew
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    opened = Store.open(disk / "db", [SCHEMA])
    with opened.transaction() as db:
        db.execute("insert into things values ('b')")
    assert names(opened) == ["a", "b"]
    opened.close()


def test_a_database_is_for_one_alone(store, tmp_path):
    with sqlite3.connect(tmp_path / "db", timeout=0) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("select * from things")
    other.close()


def test_a_second_of_the_same_name_is_refused(store):
    with store.transaction() as db:
        db.execute("insert into things values ('a')")
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as db:
        db.execute("insert into things values ('a')")
    assert names(store) == ["a"]
