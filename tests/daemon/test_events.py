"""Events: durable, in order, and followed without a queue."""

import asyncio
import time

import pytest

from pydock_daemon import events
from pydock_daemon.events import Events
from pydock_daemon.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "db", [events.SCHEMA])
    yield opened
    opened.close()


async def test_a_reader_gets_what_happens_after_its_number(store):
    log = Events(store)
    log.publish("container", "create", "a", {"name": "web"})
    reader = log.follow(log.last())
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    log.publish("container", "start", "a", {"name": "web", "image": "busybox"})
    event = await asyncio.wait_for(waiting, 1)
    assert (event["Action"], event["Actor"]["ID"]) == ("start", "a")
    await reader.aclose()


async def test_a_slow_reader_loses_nothing(store):
    log = Events(store)
    reader = log.follow(0)
    for number in range(500):
        log.publish("image", "pull", str(number), {})
    assert [(await anext(reader))["Actor"]["ID"] for _ in range(500)] == [str(number) for number in range(500)]
    await reader.aclose()


async def test_events_outlive_the_daemon(store, tmp_path):
    Events(store).publish("volume", "create", "data", {})
    store.close()
    again = Store.open(tmp_path / "db", [events.SCHEMA])
    found = Events(again).between(0, None)
    again.close()
    assert [(event["Type"], event["Action"], event["Actor"]["ID"]) for event in found] == [("volume", "create", "data")]


async def test_between_takes_both_ends_of_the_span(store):
    log = Events(store)
    log.publish("image", "tag", "x", {})
    moment = log.between(0, None)[0]["timeNano"]
    assert len(log.between(moment, moment)) == 1
    assert log.between(moment + 1, None) == []


async def test_following_begins_at_a_moment_and_ends_at_one(store):
    log = Events(store)
    log.publish("image", "tag", "early", {})
    log.publish("image", "tag", "middle", {})
    middle = log.between(0, None)[1]["timeNano"]
    assert [event["Actor"]["ID"] async for event in log.follow(log.before(middle), middle)] == ["middle"]
    assert [event async for event in log.follow(log.before(middle + 10**12), middle)] == []
    following = log.follow(log.last(), time.time_ns() + 300_000_000)
    waiting = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    log.publish("image", "tag", "late", {})
    assert (await waiting)["Actor"]["ID"] == "late"
    with pytest.raises(StopAsyncIteration):
        await anext(following)


async def test_old_rows_are_dropped(store, monkeypatch):
    monkeypatch.setattr(events, "KEEP", 20)
    log = Events(store)
    for number in range(100):
        log.publish("image", "pull", str(number), {})
    kept = [event["Actor"]["ID"] for event in log.between(0, None)]
    assert 20 <= len(kept) <= 22
    assert kept[-1] == "99"
