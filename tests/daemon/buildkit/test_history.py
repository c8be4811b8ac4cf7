"""Records of builds: kept, told, pinned, removed, and no more of them than there may be."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from pydock_daemon.buildkit import history
from pydock_daemon.buildkit.frontend import Refused
from pydock_daemon.buildkit.history import COMPLETE, DELETED, STARTED, History
from pydock_daemon.buildkit.messages import make
from pydock_daemon.buildkit.progress import Telling, Vertex
from pydock_daemon.buildkit.state import BuildKit
from pydock_shared.errors import InvalidArgument, NotFound


@pytest.fixture
def kept(tmp_path: Path) -> History:
    return History(BuildKit(), tmp_path)


async def build(kept: History, ref: str, error: BaseException | None = None) -> None:
    telling = Telling()
    async with kept.recorded(make("Solve", Ref=ref, FrontendAttrs={"target": "t"}), telling) as record:
        step = Vertex(telling, "a step")
        step.cached()
        step.output("said\n")
        step.end()
        record.ExporterResponse["x"] = "y"
        if error:
            raise error


async def records(kept: History, **request: Any) -> list[Any]:
    return [event async for event in kept.listen(make("HistoryOf", EarlyExit=True, **request))]


async def test_what_is_kept(kept: History) -> None:
    await build(kept, "one")
    with pytest.raises(InvalidArgument):
        await build(kept, "../two", InvalidArgument("it broke"))
    events = await records(kept)
    assert [(event.type, event.record.Ref) for event in events] == [(COMPLETE, "../two"), (COMPLETE, "one")]
    failed, well = (event.record for event in events)
    assert (failed.error.message, well.error.message) == ("it broke", "")
    assert (well.numTotalSteps, well.numCachedSteps, well.numCompletedSteps) == (1, 1, 1)
    assert (dict(well.FrontendAttrs), dict(well.ExporterResponse)) == ({"target": "t"}, {"x": "y"})
    assert well.CompletedAt.seconds >= well.CreatedAt.seconds > 0
    told = await kept.status("one")
    assert b"".join(log.msg for message in told for log in message.logs) == b"said\n"
    assert [event.record.Ref for event in await records(kept, Ref="one")] == ["one"]
    assert len(await records(kept, Limit=1)) == 1
    assert await records(kept, ActiveOnly=True) == []


async def test_there_are_no_more_than_there_may_be(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 2)
    await build(kept, "0")
    await kept.update("0", pinned=True, delete=False)
    for number in range(1, 5):
        await build(kept, str(number))
    assert [event.record.Ref for event in await records(kept)] == ["4", "3", "0"]
    await kept.update("0", pinned=False, delete=True)
    assert not kept.has("0")
    with pytest.raises(NotFound):
        await kept.update("0", pinned=True, delete=False)


async def test_who_listens_is_told(kept: History) -> None:
    await build(kept, "zero")
    async with aclosing(kept.listen(make("HistoryOf"))) as events:
        assert (await anext(events)).record.Ref == "zero"
        await build(kept, "one")
        await kept.update("one", pinned=False, delete=True)
        told = [await anext(events) for _ in range(3)]
    assert [(event.type, event.record.Ref) for event in told] == [
        (STARTED, "one"), (COMPLETE, "one"), (DELETED, "one")
    ]  # fmt: skip
    assert not kept._buildkit.listeners


async def test_the_code_of_an_error(kept: History) -> None:
    """A build that was called off is told from one that failed."""
    for ref, error in (
        ("1", Refused("context canceled", [], 1)),
        ("2", asyncio.CancelledError()),
        ("3", Refused("", [])),
    ):
        with pytest.raises(type(error)):
            await build(kept, ref, error)
    assert [event.record.error.code for event in await records(kept)] == [2, 1, 1]
