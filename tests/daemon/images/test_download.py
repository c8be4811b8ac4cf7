"""Large layers come in parts over several connections, and whatever breaks, no byte is fetched for nothing."""

import random
from collections.abc import AsyncIterator

import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.liar import Liar, lying
from tests.fixtures.archives import digest, entry, tar

from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root
PART = 1 << 16
LAYER = tar([entry("much", random.Random(7).randbytes(9 * PART))])


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    """A registry with one layer of nine parts and a bit."""
    async with lying([LAYER]) as made:
        yield made


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    """A store that asks for little at a time."""
    shop.images.part = PART
    return shop


def ranges(liar: Liar) -> list[str]:
    """The ranges of the layer that were asked for."""
    return [line.rpartition(" ")[2] for line in liar.asked if f"blobs/{digest(LAYER)}" in line]


async def test_a_large_layer_comes_in_parts(shop: Shop, liar: Liar) -> None:
    image = await shop.pull(f"{liar.host}/name:1")
    assert image.size == 9 * PART
    asked = ranges(liar)
    assert asked[0] == f"bytes=0-{PART - 1}"
    assert sorted(asked) == sorted(
        [*(f"bytes={at}-{at + PART - 1}" for at in range(0, 9 * PART, PART)), f"bytes={9 * PART}-"]
    )


async def test_a_registry_that_knows_no_ranges_is_asked_once(shop: Shop, liar: Liar) -> None:
    liar.ranges = False
    image = await shop.pull(f"{liar.host}/name:1")
    assert image.size == 9 * PART
    assert ranges(liar) == [f"bytes=0-{PART - 1}"]


@pytest.mark.parametrize("number", [0, 1, 2, 5, 8])
@pytest.mark.parametrize("fault", ["drop", "502", "no ranges", "fewer bytes"])
async def test_a_part_that_breaks_off_is_taken_up_again(shop: Shop, liar: Liar, number: int, fault: str) -> None:
    liar.faults = [""] * number + [fault]
    image = await shop.pull(f"{liar.host}/name:1")
    assert image.size == 9 * PART
    assert len(ranges(liar)) < 20


async def test_parts_of_other_bytes_are_not_believed(shop: Shop, liar: Liar) -> None:
    liar.faults = ["", "", "other bytes"]
    with pytest.raises(PydockError, match="verification failed for digest"):
        await shop.pull(f"{liar.host}/name:1")
    assert await shop.left() == []


async def test_what_is_left_on_disk_is_how_the_layer_begins(shop: Shop) -> None:
    part = shop.images.part = 1 << 20  # less is not kept
    layer = tar([entry("much", random.Random(7).randbytes(9 * part))])
    async with lying([layer]) as liar:
        liar.faults = ["", "", "", *["drop"] * 100]
        with pytest.raises(PydockError, match="unexpected end"):
            await shop.pull(f"{liar.host}/name:1")
        (partial,) = (shop.root / "content/ingest").glob("*.part")
        had = partial.read_bytes()
        assert len(had) > part
        assert layer.startswith(had)
        liar.faults, liar.asked = [], []
        await shop.pull(f"{liar.host}/name:1")
        assert f"GET /v2/name/blobs/{digest(layer)} bytes={len(had)}-{len(had) + part - 1}" in liar.asked


async def test_an_image_that_is_here_costs_one_request(shop: Shop, liar: Liar) -> None:
    await shop.pull(f"{liar.host}/name:1")
    liar.asked.clear()
    await shop.pull(f"{liar.host}/name:1")
    assert liar.asked == ["GET /v2/name/manifests/1"]
