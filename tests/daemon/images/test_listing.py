"""The list of images and its filters; inspect and history in Docker's form."""

from typing import Any

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import digest, docker_archive, entry, tar

from pydock_daemon.images import inspect, listing
from pydock_daemon.images.model import Image
from pydock_shared.errors import InvalidArgument, NotFound
from pydock_shared.filters import Filters

pytestmark = pytest.mark.root
LAYERS = [tar([entry("x", b"1")]), tar([entry("y", b"22")])]


@pytest.fixture
async def three(shop: Shop) -> list[Image]:
    """An old image, a newer one with labels, and one without a name."""
    config = {"Labels": {"a": "1"}}
    (old,) = await shop.load(docker_archive(LAYERS[:1], ["old:1", "me/tool:2"], created="2020-01-01T00:00:00Z"))
    (new,) = await shop.load(
        docker_archive(LAYERS, ["new:latest", "reg.x:5/new:1"], created="2021-01-01T00:00:00.5Z", config=config)
    )
    (lost,) = await shop.load(docker_archive([], [], created="2022-01-01T00:00:00Z"))
    return [old, new, lost]


def names(shop: Shop, **filters: list[str]) -> list[list[str]]:
    return [item["RepoTags"] for item in listing.listing(shop.images, Filters(filters))]


OLD, NEW, LOST = ["old:1", "me/tool:2"], ["new:latest", "reg.x:5/new:1"], list[str]()


async def test_filters(shop: Shop, three: list[Image]) -> None:
    assert names(shop) == [LOST, NEW, OLD]
    assert names(shop, dangling=["true"]) == [LOST]
    assert names(shop, dangling=["false"]) == [NEW, OLD]
    assert names(shop, label=["a"]) == names(shop, label=["a=1"]) == [NEW]
    assert names(shop, label=["a=2"]) == []
    assert names(shop, before=["new"]) == [OLD]
    assert names(shop, since=["new"]) == [LOST]
    assert names(shop, since=["old:1"], before=[three[2].short]) == [NEW]
    assert names(shop, until=["2020-06-01T00:00:00Z"]) == [OLD]


async def test_references_by_pattern(shop: Shop, three: list[Image]) -> None:
    assert names(shop, reference=["new"]) == [["new:latest"]]
    assert names(shop, reference=["*:1"]) == [["old:1"]]
    assert names(shop, reference=["*/*"]) == [["reg.x:5/new:1"], ["me/tool:2"]]
    assert names(shop, reference=["me/t??l", "[no]*"]) == [["new:latest"], OLD]
    assert names(shop, reference=["nothing*"]) == []


async def test_bad_filters(shop: Shop) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'color'"):
        names(shop, color=["red"])
    with pytest.raises(InvalidArgument, match="invalid filter 'dangling"):
        names(shop, dangling=["maybe"])
    with pytest.raises(NotFound, match="No such image: none:latest"):
        names(shop, before=["none"])


async def test_shape_and_sizes(shop: Shop, three: list[Image]) -> None:
    found = {item["Id"]: item for item in listing.listing(shop.images, Filters({}), shared_size=True, users=True)}
    old, new, _ = three
    assert found[new.id] == {
        "Id": new.id,
        "ParentId": "",
        "RepoTags": NEW,
        "RepoDigests": [],
        "Created": 1609459200,
        "Size": 3,
        "SharedSize": 1,
        "Labels": {"a": "1"},
        "Containers": 0,
        "Descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": new.manifest,
            "size": shop.images.content.size(new.manifest),
        },
    }
    assert found[old.id]["Labels"] is None
    assert listing.listing(shop.images, Filters({}))[0]["SharedSize"] == -1


async def test_inspect(shop: Shop, three: list[Image]) -> None:
    _, new, _ = three
    shown = inspect.inspect(shop.images, new, (1, 44))
    assert shown["Id"] == new.id
    assert shown["Created"] == "2021-01-01T00:00:00.5Z"
    assert shown["RootFS"] == {"Type": "layers", "Layers": [digest(layer) for layer in LAYERS]}
    assert shown["GraphDriver"]["Name"] == "overlay2"
    assert shown["GraphDriver"]["Data"]["UpperDir"] == str(shop.snapshots.diff(new.chain[1]))
    assert shown["GraphDriver"]["Data"]["LowerDir"] == str(shop.snapshots.diff(new.chain[0]))
    assert shown["Config"]["Labels"] == {"a": "1"}
    assert shown["Config"]["AttachStdin"] is False
    assert shown["Metadata"]["LastTagTime"].startswith("20")
    newest: dict[str, Any] = inspect.inspect(shop.images, new, (1, 55))
    assert newest["Config"] == {"Labels": {"a": "1"}}


async def test_history(shop: Shop) -> None:
    history = [
        {"created": "2020-01-01T00:00:00Z", "created_by": "ADD x"},
        {"created": "2020-01-01T00:00:01Z", "created_by": "ENV a=b", "empty_layer": True, "comment": "why"},
        {"created": "2020-01-01T00:00:02Z", "created_by": "RUN y"},
    ]
    (image,) = await shop.load(docker_archive(LAYERS, ["h:1"], history=history))
    newest, middle, oldest = inspect.history(shop.images, image)
    assert newest == {
        "Id": image.id,
        "Created": 1577836802,
        "CreatedBy": "RUN y",
        "Tags": ["h:1"],
        "Size": 2,
        "Comment": "",
    }
    assert (middle["Id"], middle["Size"], middle["Comment"], middle["Tags"]) == ("<missing>", 0, "why", None)
    assert (oldest["CreatedBy"], oldest["Size"]) == ("ADD x", 1)
