"""Search, by a registry in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.hosts import Hosts
from pydock_daemon.images.registry import Registries
from pydock_daemon.images.search import search
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.filters import Filters

FOUND: list[dict[str, Any]] = [
    {"name": "one", "description": "first", "star_count": 7, "is_official": True, "is_automated": False},
    {"name": "me/two", "star_count": 3},
]


class Index:
    """Answers searches with `status` and `body`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.body: Any = {"results": FOUND}
        self.host = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.path == "/v1/search"
        self.asked.append(dict(request.rel_url.query))
        return web.json_response(self.body, status=self.status)


@pytest.fixture
async def index() -> AsyncIterator[Index]:
    made = Index()
    runner = web.ServerRunner(web.Server(made.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.host = f"127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await asyncio.wait_for(runner.cleanup(), 10)


@pytest.fixture
async def registries() -> AsyncIterator[Registries]:
    made = Registries(Hosts([], []))
    yield made
    await made.close()


async def names(registries: Registries, term: str, limit: int | None = None, **filters: list[str]) -> list[str]:
    wanted = Filters({key.replace("_", "-"): value for key, value in filters.items()})
    return [item["name"] for item in await search(registries, term, limit, wanted, Credentials())]


async def test_results_and_filters(index: Index, registries: Registries) -> None:
    term = f"{index.host}/app"
    assert await names(registries, term) == ["one", "me/two"]
    assert index.asked == [{"q": "app", "n": "25"}]
    assert await names(registries, term, 7) == ["one", "me/two"]
    assert index.asked[-1]["n"] == "7"
    assert await names(registries, term, is_official=["true"]) == ["one"]
    assert await names(registries, term, is_official=["false"]) == ["me/two"]
    assert await names(registries, term, stars=["5"]) == ["one"]
    found = await search(registries, term, None, Filters({}), Credentials())
    assert found[1] == {
        "star_count": 3,
        "is_official": False,
        "name": "me/two",
        "is_automated": False,
        "description": "",
    }


@pytest.mark.parametrize(
    ("limit", "filters", "message"),
    [
        (0, {}, "limit 0 is outside the range"),
        (101, {}, "limit 101 is outside the range"),
        (None, {"stars": ["many"]}, "invalid filter 'stars=\\[many\\]'"),
        (None, {"is_official": ["perhaps"]}, "invalid filter 'is-official=\\[perhaps\\]'"),
        (None, {"colour": ["red"]}, "invalid filter 'colour'"),
    ],
)
async def test_what_cannot_be_asked(
    registries: Registries, limit: int | None, filters: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        await names(registries, "x", limit, **filters)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [(500, {}, "Unexpected status code 500"), (200, [], "no answer to a search"), (200, {"results": [3]}, "no answer")],
)
async def test_answers_that_are_none(
    index: Index, registries: Registries, status: int, body: Any, message: str
) -> None:
    index.status, index.body = status, body
    with pytest.raises(PydockError, match=message):
        await names(registries, f"{index.host}/app")
