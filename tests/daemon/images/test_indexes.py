"""Indexes from a registry that lies or has lost something: an error that names the thing, or the image without it."""

from collections.abc import AsyncIterator

import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.liar import Liar, lying
from tests.fixtures.platforms import INDEX, Json, Layout

from pydock_daemon.images.model import parse_platform
from pydock_shared.errors import NotFound, PydockError

pytestmark = pytest.mark.root
S390, PPC = "linux/s390x", "linux/ppc64le"


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    async with lying([]) as made:
        yield made


def serve(liar: Liar, layout: Layout) -> str:
    liar.layout = layout.blobs
    return f"{liar.host}/name:1"


async def pull(shop: Shop, name: str) -> str:
    return (await shop.pull(name, parse_platform(S390))).id


async def refused(shop: Shop, name: str, message: str) -> None:
    """A pull that fails with a message, and leaves nothing."""
    with pytest.raises(PydockError, match=message):
        await pull(shop, name)
    assert await shop.left() == []
    assert shop.images.count() == 0


async def test_what_is_asked_for(shop: Shop, liar: Liar) -> None:
    """Of what is here already only the top is fetched, which may have changed."""
    layout = Layout()
    one, other = layout.image(S390), layout.image(PPC)
    attested = layout.attestation(one)
    layout.index(layout.index(other), layout.index(one, attested))
    name = serve(liar, layout)
    first = await pull(shop, name)
    asked = len(liar.asked)
    # Three indexes, the manifest with a configuration and a layer, and the same of what attests it.
    assert asked == 3 + 3 + 3
    assert not any(other["digest"] in path for path in liar.asked)
    assert await pull(shop, name) == first
    assert len(liar.asked) == asked + 1


async def test_an_attestation_that_is_not_to_be_had(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    one = layout.image(S390)
    attested = layout.attestation(one)
    layout.index(one, attested)
    liar.gone = {attested["digest"]}
    await pull(shop, serve(liar, layout))
    assert shop.images.count() == 1


async def test_a_manifest_that_is_not_to_be_had(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    one = layout.image(S390)
    layout.index(one)
    liar.gone = {one["digest"]}
    await refused(shop, serve(liar, layout), "manifest for .* not found: manifest unknown: unknown")


async def test_a_manifest_that_is_another(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    one = layout.image(S390)
    layout.index(one)
    layout.blobs[one["digest"]] += b" "
    await refused(shop, serve(liar, layout), f"manifest verification failed for digest {one['digest']}")


def own_entry(layout: Layout) -> Json:
    """An entry that claims to be the index which it stands in; no digest can, so its bytes are others."""
    digest = "sha256:" + "7" * 64
    made = {"mediaType": INDEX, "digest": digest, "size": 400}
    top = layout.index(made)
    layout.blobs[digest] = layout.blobs[top["digest"]]
    layout.blobs[top["digest"]] = layout.blobs.pop(top["digest"])
    return made


async def test_an_index_that_leads_to_itself(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    own_entry(layout)
    await refused(shop, serve(liar, layout), "manifest verification failed for digest sha256:777")


async def test_an_index_without_end(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    top = layout.image(S390)
    for _ in range(6):
        top = layout.index(top)
    await refused(shop, serve(liar, layout), "an index of indexes that has no end")


async def test_very_many_indexes(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    layout.index(*(layout.index(layout.image(f"linux/none{number}")) for number in range(40)))
    await refused(shop, serve(liar, layout), "an index of indexes that has no end")
    assert len(liar.asked) < 50


async def test_an_index_of_other_platforms(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    layout.index(layout.image(PPC))
    with pytest.raises(NotFound, match=f"no matching manifest for {S390} in the manifest list entries"):
        await pull(shop, serve(liar, layout))


async def test_an_index_whose_entry_is_no_image(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    layout.index(layout.artifact() | {"platform": {"os": "linux", "architecture": "s390x"}})
    await refused(shop, serve(liar, layout), "this is no container image: its configuration is")


async def test_an_image_that_is_none_of_a_manifest(shop: Shop, liar: Liar) -> None:
    layout = Layout()
    layout.document({"schemaVersion": 2, "mediaType": "application/vnd.unheard.of+json"})
    await refused(shop, serve(liar, layout), "manifest of unknown kind: application/vnd.unheard.of")
