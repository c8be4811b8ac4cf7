"""Images go to a real registry, with the digests they came with."""

from pathlib import Path

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import docker_archive, entry, tar
from tests.fixtures.registry import Registry, free_port

from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.push import push
from pydock_shared import reference
from pydock_shared.errors import NotFound, PydockError

pytestmark = pytest.mark.root


async def pushed(shop: Shop, name: str) -> None:
    await push(shop.images, reference.parse(name, default_tag=False), Credentials(), shop.send)


async def test_what_was_pulled_is_pushed_with_its_digest(shop: Shop, registry: Registry, busybox: Path) -> None:
    registry.copy(f"docker-archive:{busybox}", "source:1")
    image = await shop.pull(registry.name("source:1"))
    shop.images.tag(image.id, registry.name("target:2"))
    shop.records.clear()
    await pushed(shop, registry.name("target:2"))
    assert registry.inspect("target:2")["Digest"] == registry.inspect("source:1")["Digest"] == image.manifest
    said = shop.said()
    assert said[0] == f"The push refers to repository [{registry.name('target')}]"
    assert said[-1].startswith(f"2: digest: {image.manifest} size: ")
    assert shop.records[-1]["aux"]["Digest"] == image.manifest
    assert f"{registry.name('target')}@{image.manifest}" in shop.images.resolve(image.id).repo_digests


async def test_a_loaded_image_and_then_again(shop: Shop, registry: Registry) -> None:
    (image,) = await shop.load(docker_archive([tar([entry("x", b"1")])], [registry.name("loaded:1")]))
    layer = image.diff_ids[0][7:19]
    await pushed(shop, registry.name("loaded:1"))
    assert shop.said(layer) == ["Preparing", "Pushed"]
    shop.records.clear()
    await pushed(shop, registry.name("loaded"))
    assert shop.said(layer) == ["Preparing", "Layer already exists"]
    other = await shop.pull(registry.name("loaded:1"))
    assert other.id == image.id


async def test_what_is_not_here_and_where_nobody_is(shop: Shop) -> None:
    with pytest.raises(NotFound, match="An image does not exist locally with the tag: nothing"):
        await pushed(shop, "nothing:1")
    name = f"127.0.0.1:{free_port()}/x:1"
    await shop.load(docker_archive([tar([entry("x", b"1")])], [name]))
    with pytest.raises(PydockError, match="connection refused"):
        await pushed(shop, name)
