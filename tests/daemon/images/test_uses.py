"""When images were used last, and which are pinned; both outlive the daemon."""

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import docker_archive, entry, tar

from pydock_daemon.images.model import Image
from pydock_shared.errors import NotFound

pytestmark = pytest.mark.root


async def an_image(shop: Shop, name: str, **labels: str) -> Image:
    layer = tar([entry(name, name.encode())])
    (image,) = await shop.load(docker_archive([layer], [name], config={"Cmd": ["x"], "Labels": labels}))
    return image


async def test_uses_are_in_order_also_after_a_restart(shop: Shop) -> None:
    one, two = await an_image(shop, "one:1"), await an_image(shop, "two:1")
    assert shop.images.uses.last(one) < shop.images.uses.last(two)
    shop.images.uses.touch(one.id)
    before = [shop.images.uses.last(image) for image in (one, two)]
    assert before[0] > before[1]
    await shop.close()
    await shop.open()
    assert [shop.images.uses.last(image) for image in (one, two)] == before
    shop.images.tag("two:1", "two:2")
    assert shop.images.uses.last(two) > before[0]


async def test_what_is_removed_is_forgotten(shop: Shop) -> None:
    image = await an_image(shop, "one:1")
    shop.images.names.remove(image.id)
    shop.images.uses.write()
    assert shop.store.all("select * from image_uses") == []


@pytest.mark.parametrize("by_id", [False, True])
async def test_pins(shop: Shop, by_id: bool) -> None:
    image = await an_image(shop, "one:latest")
    target = image.short if by_id else "one"
    assert not shop.images.uses.is_pinned(image)
    shop.images.uses.pin(target)
    shop.images.uses.pin(target)
    await shop.close()
    await shop.open()
    assert shop.images.uses.is_pinned(image)
    wanted = image.id if by_id else "one:latest"
    assert [(name, held.id if held else "") for name, held in shop.images.uses.pins()] == [(wanted, image.id)]
    shop.images.uses.unpin(target)
    assert list(shop.images.uses.pins()) == []
    shop.images.uses.unpin(target)
    for verb in (shop.images.uses.pin, shop.images.uses.unpin):
        with pytest.raises(NotFound, match="No such image: nobody:latest"):
            verb("nobody")


async def test_a_pin_stays_with_its_name(shop: Shop) -> None:
    await an_image(shop, "one:latest")
    shop.images.uses.pin("one")
    shop.images.names.untag(next(iter(shop.images.names.names_of(shop.images.resolve("one").id))))
    assert [held for _, held in shop.images.uses.pins()] == [None]
    await an_image(shop, "two:1")
    shop.images.tag("two:1", "one")
    assert shop.images.uses.is_pinned(shop.images.resolve("two:1"))


@pytest.mark.parametrize(("value", "pinned"), [("", True), ("true", True), ("no", False), ("0", False)])
async def test_a_label_pins(shop: Shop, value: str, pinned: bool) -> None:
    image = await an_image(shop, "one:1", **{"io.pydock.image.pin": value})
    assert shop.images.uses.is_pinned(image) is pinned
