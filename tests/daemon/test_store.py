"""The database: what a transaction promises."""

import sqlite3

import pytest

from pydock_daemon.store import Store

SCHEMA = "create table if not exists things (name text primary key);"


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "db", [SCHEMA])
    yield opened
    opened.close()


def names(store):
    return [row["name"] for row in store.all("select name from things order by name")]


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
    first = Store.open(tmp_path / "db", [SCHEMA])
    with first.transaction() as db:
        db.execute("insert into things values ('a')")
    # No close: as after a crash of the daemon.
    second = Store.open(tmp_path / "db", [SCHEMA])
    assert names(second) == ["a"]
    second.close()
    first.close()


def test_a_second_of_the_same_name_is_refused(store):
    with store.transaction() as db:
        db.execute("insert into things values ('a')")
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as db:
        db.execute("insert into things values ('a')")
    assert names(store) == ["a"]
