"""Images go to a real registry, with the digests they came with."""

import asyncio
import random
from pathlib import Path

import aiohttp
import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.taker import taking
from tests.fixtures.archives import docker_archive, entry, tar
from tests.fixtures.registry import Registry, free_port

from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.push import push
from pydock_shared import reference
from pydock_shared.errors import NotFound, PydockError

pytestmark = pytest.mark.root


async def pushed(shop: Shop, name: str) -> None:
    await push(shop.images, reference.parse(name, default_tag=False), None, Credentials(), shop.send)


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


async def test_a_layer_that_another_repository_has_is_mounted(shop: Shop, registry: Registry) -> None:
    (image,) = await shop.load(docker_archive([tar([entry("y", b"2")])], [registry.name("mount/from:1")]))
    await pushed(shop, registry.name("mount/from:1"))
    shop.images.tag(image.id, registry.name("mount/to:1"))
    shop.records.clear()
    await pushed(shop, registry.name("mount/to:1"))
    assert shop.said(image.diff_ids[0][7:19]) == ["Preparing", "Mounted from mount/from"]
    assert registry.inspect("mount/to:1")["Digest"] == image.manifest


@pytest.mark.parametrize("faults", [["drop"], ["drop", "drop"], ["502"], ["forget"], ["drop", "forget"]])
async def test_an_upload_that_breaks_off_goes_on_there(shop: Shop, faults: list[str]) -> None:
    noise = random.Random(5).randbytes(3 << 20)
    async with taking() as host:
        (image,) = await shop.load(docker_archive([tar([entry("noise", noise)])], [f"{host.host}/x:1"]))
        host.faults = list(faults)
        await pushed(shop, f"{host.host}/x:1")
        assert set(host.blobs) == {image.id, *image.blobs}
        sent = sum(host.received)
        size = shop.images.content.size(image.blobs[0])
        # What came before a break is not sent again, unless the registry has forgotten it.
        assert size <= sent <= 2 * size + 10_000 if "forget" in faults else sent < size + (1 << 20)


async def test_a_registry_that_stalls(shop: Shop) -> None:
    shop.images.registries.timeout = aiohttp.ClientTimeout(total=None, sock_read=0.3)
    noise = random.Random(5).randbytes(24 << 20)  # more than there is room for on the way
    async with taking() as host:
        (image,) = await shop.load(docker_archive([tar([entry("noise", noise)])], [f"{host.host}/x:1"]))
        host.faults = ["stall"]
        await pushed(shop, f"{host.host}/x:1")
        assert set(host.blobs) == {image.id, *image.blobs}
        host.blobs.clear()
        host.faults = ["stall"] * 9
        with pytest.raises(PydockError, match=r'Patch "http.*: timeout'):
            await asyncio.wait_for(pushed(shop, f"{host.host}/x:1"), 20)


async def test_an_upload_that_is_refused_is_not_tried_again(shop: Shop) -> None:
    async with taking() as host:
        await shop.load(docker_archive([tar([entry("x", b"1")])], [f"{host.host}/x:1"]))
        host.faults = ["403"] * 9
        with pytest.raises(PydockError, match="403"):
            await pushed(shop, f"{host.host}/x:1")
        assert host.received == []
