"""Docker's rules of names and images: what goes when, what is refused and in which words."""

import time
from typing import NamedTuple

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import docker_archive, entry, tar
from tests.fixtures.registry import Registry

from pydock_daemon.images import delete
from pydock_daemon.images.model import Image
from pydock_shared.errors import Conflict, NotFound
from pydock_shared.filters import Filters

pytestmark = pytest.mark.root
LAYERS = [tar([entry("x", b"1")]), tar([entry("y", b"22")])]


class User(NamedTuple):
    """A container that uses an image."""

    id: str
    alive: bool


async def an_image(shop: Shop, *tags: str, layers: int = 2) -> Image:
    (image,) = await shop.load(docker_archive(LAYERS[:layers], tags))
    return image


def used(shop: Shop, image: Image, *, alive: bool) -> None:
    """Let a container use an image."""
    shop.images.users = lambda id_: [User("c" * 64, alive)] if id_ == image.id else []


async def test_the_last_name_takes_the_image_along(shop: Shop) -> None:
    image = await an_image(shop, "one:1", "one:2")
    assert delete.delete(shop.images, "one:1", force=False) == [{"Untagged": "one:1"}]
    assert delete.delete(shop.images, "one:2", force=False) == [
        {"Untagged": "one:2"},
        {"Deleted": image.id},
        {"Deleted": image.chain[1]},
        {"Deleted": image.chain[0]},
    ]
    assert await shop.left() == []
    assert [action for action, _ in shop.happened()] == ["load", "untag", "untag", "delete"]


async def test_layers_of_another_image_stay(shop: Shop) -> None:
    small = await an_image(shop, "small:1", layers=1)
    large = await an_image(shop, "large:1")
    assert delete.delete(shop.images, "large:1", force=False)[1:] == [
        {"Deleted": large.id},
        {"Deleted": large.chain[1]},
    ]
    assert [name for name in await shop.left() if name.startswith("layers/")] == [
        f"layers/{shop.snapshots.diff(small.chain[0]).parent.name}"
    ]


async def test_by_id_all_names_of_one_repository_go(shop: Shop) -> None:
    image = await an_image(shop, "one:1")
    assert delete.delete(shop.images, image.short, force=False)[:2] == [{"Untagged": "one:1"}, {"Deleted": image.id}]


async def test_by_id_names_of_several_repositories_need_force(shop: Shop) -> None:
    image = await an_image(shop, "one:1", "two:1")
    with pytest.raises(Conflict) as caught:
        delete.delete(shop.images, image.id, force=False)
    assert caught.value.message == (
        f"conflict: unable to delete {image.short} (must be forced) - image is referenced in multiple repositories"
    )
    records = delete.delete(shop.images, image.id, force=True)
    assert records[:3] == [{"Untagged": "one:1"}, {"Untagged": "two:1"}, {"Deleted": image.id}]


async def test_digests_go_with_the_last_tag(
    shop: Shop, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("d") / "x.tar"
    path.write_bytes(docker_archive(LAYERS, ["x:1"]))
    registry.copy(f"docker-archive:{path}", "deleted:1")
    image = await shop.pull(registry.name("deleted:1"))
    records = delete.delete(shop.images, registry.name("deleted:1"), force=False)
    assert records[:3] == [
        {"Untagged": registry.name("deleted:1")},
        {"Untagged": image.repo_digests[0]},
        {"Deleted": image.id},
    ]


async def test_a_name_that_a_container_needs(shop: Shop) -> None:
    image = await an_image(shop, "one:1")
    used(shop, image, alive=False)
    with pytest.raises(Conflict) as caught:
        delete.delete(shop.images, "one:1", force=False)
    assert caught.value.message == (
        'conflict: unable to remove repository reference "one:1" (must force) - container cccccccccccc is using its '
        f"referenced image {image.short}"
    )
    with pytest.raises(Conflict, match=r"\(must be forced\) - image is being used by stopped container cccccccccccc"):
        delete.delete(shop.images, image.id, force=False)
    shop.snapshots.prepare("c", image.chain)
    assert delete.delete(shop.images, "one:1", force=True)[:2] == [{"Untagged": "one:1"}, {"Deleted": image.id}]
    shop.snapshots.overlay("c")
    assert len([name for name in await shop.left() if name.startswith("layers/")]) == 2


async def test_what_runs_keeps_its_image(shop: Shop) -> None:
    image = await an_image(shop, "one:1", "two:1")
    used(shop, image, alive=True)
    assert delete.delete(shop.images, "two:1", force=False) == [{"Untagged": "two:1"}]
    with pytest.raises(Conflict) as caught:
        delete.delete(shop.images, image.id, force=True)
    assert caught.value.message == (
        f"conflict: unable to delete {image.short} (cannot be forced) - image is being used by running container "
        "cccccccccccc"
    )
    assert delete.delete(shop.images, "one:1", force=True) == [{"Untagged": "one:1"}]
    assert shop.images.resolve(image.id).repo_tags == []


async def test_unknown_images(shop: Shop) -> None:
    for name, shown in (
        ("none", "none:latest"),
        ("none:1", "none:1"),
        ("a" * 64, "a" * 64),
        ("abc123", "abc123:latest"),
    ):
        with pytest.raises(NotFound) as caught:
            delete.delete(shop.images, name, force=True)
        assert caught.value.message == f"No such image: {shown}"


async def test_prune_takes_what_has_no_name(shop: Shop) -> None:
    await an_image(shop, "kept:1", layers=1)
    lost = await an_image(shop)
    pruned = delete.prune(shop.images, Filters({}))
    assert pruned.records == [{"Deleted": lost.id}, {"Deleted": lost.chain[1]}]
    assert pruned.freed > 2
    assert [image.repo_tags for image in shop.images] == [["kept:1"]]


async def test_prune_of_all_spares_what_is_used(shop: Shop) -> None:
    one, two = await an_image(shop, "one:1", layers=1), await an_image(shop, "two:1")
    used(shop, one, alive=False)
    records = delete.prune(shop.images, Filters({"dangling": ["false"]})).records
    assert records == [{"Untagged": "two:1"}, {"Deleted": two.id}, {"Deleted": two.chain[1]}]


async def test_prune_by_age_and_label(shop: Shop) -> None:
    config = {"Labels": {"keep": "yes", "x": "1"}}
    (image,) = await shop.load(docker_archive(LAYERS, [], config=config))
    for filters in (
        {"label": ["x=2"]},
        {"label!": ["keep"]},
        {"label!": ["keep=yes"]},
        {"until": ["2000-01-01T00:00:00Z"]},
    ):
        assert delete.prune(shop.images, Filters(filters)).records == []
    now = str(int(time.time()))
    filters = {"label": ["x=1"], "until": [now], "label!": ["keep=no"]}
    assert delete.prune(shop.images, Filters(filters)).records[0] == {"Deleted": image.id}
