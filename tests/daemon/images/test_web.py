"""Answers that no server should give: an error that says so, and never one of the daemon's own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.liar import Liar, lying
from tests.fixtures.archives import entry, tar

from pydock_daemon.images.auth import Credentials
from pydock_shared import reference
from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root
LAYER = tar([entry("x", bytes(100_000))])


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    """A registry with an image of one layer."""
    async with lying([LAYER]) as made:
        yield made


TOKENS = {
    b"": "gave no token",
    b"[]": "gave no token",
    b'{"token": ""}': "gave no token",
    b'{"token": "a\\r\\nX-Evil: 1"}': "gave no token that could be sent",
    '{"token": "\u00b2"}'.encode(): "gave no token that could be sent",
    b"[" * 100_000: "gave no token",
    b'"' + bytes(9 << 20): "a document of more than",
}


@pytest.mark.parametrize("answer", TOKENS)
async def test_tokens_that_are_none(shop: Shop, liar: Liar, answer: bytes) -> None:
    liar.token, liar.answers = "secret", [answer] * 3
    with pytest.raises(PydockError, match=TOKENS[answer]):
        await shop.pull(f"{liar.host}/name:1")


TAGS = [b"", b"[]", b"1", b"{}", b'{"tags": 1}', b"[" * 100_000, b'{"tags": ["a"]' + bytes(9 << 20)]


@pytest.mark.parametrize("answer", TAGS)
async def test_lists_of_tags_that_are_none(shop: Shop, liar: Liar, answer: bytes) -> None:
    liar.others["tags/list"] = answer
    ref = reference.parse(f"{liar.host}/name")
    repository = await shop.images.registries.reach(ref, Credentials(), "pull")
    with pytest.raises(PydockError, match=r"malformed list of tags|a document of more than"):
        await repository.tags()


async def test_pages_of_tags_without_end(shop: Shop, liar: Liar) -> None:
    liar.others["tags/list"] = json.dumps({"tags": ["a"]}).encode()
    liar.link = '</v2/name/tags/list>; rel="next"'
    repository = await shop.images.registries.reach(reference.parse(f"{liar.host}/name"), Credentials(), "pull")
    with pytest.raises(PydockError, match="more than 1000 pages of tags"):
        await repository.tags()


async def test_a_registry_that_stalls(shop: Shop, liar: Liar) -> None:
    shop.images.registries.timeout = aiohttp.ClientTimeout(total=None, sock_read=0.2)
    liar.faults = ["stall"]
    image = await shop.pull(f"{liar.host}/name:1")
    assert image.size == 100_000
    assert shop.said().count("Retrying in 1 second") == 1


async def test_a_registry_that_always_stalls(shop: Shop, liar: Liar) -> None:
    shop.images.registries.timeout = aiohttp.ClientTimeout(total=None, sock_read=0.1)
    liar.faults = ["stall"] * 9
    begun = time.monotonic()
    with pytest.raises(PydockError, match="Timeout on reading data"):
        await asyncio.wait_for(shop.pull(f"{liar.host}/name:1"), 20)
    assert time.monotonic() - begun < 15
    assert await shop.left() == []
