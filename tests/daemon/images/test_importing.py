"""A root file system's tar becomes an image, with changes."""

import gzip

import pytest
from tests.daemon.images.conftest import Shop, reader
from tests.fixtures.archives import digest, entry, tar

from pydock_daemon.images.importing import Wanted, import_
from pydock_daemon.images.model import Image, parse_platform
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument

pytestmark = pytest.mark.root
TREE = tar([entry("bin/sh", b"#!", mode=0o755)])


async def imported(shop: Shop, data: bytes, *changes: str, name: str = "tree:1", message: str = "") -> Image:
    wanted = Wanted(reference.parse(name), message, "-", list(changes), None)
    return await import_(shop.images, reader(data), wanted, shop.send)


async def test_an_image_of_one_layer(shop: Shop) -> None:
    image = await imported(shop, TREE, 'CMD ["/bin/sh"]', "ENV A=b", message="by hand")
    assert image.diff_ids == [digest(TREE)]
    assert image.repo_tags == ["tree:1"]
    assert image.settings == {"Cmd": ["/bin/sh"], "Env": ["A=b"]}
    assert image.config["comment"] == image.config["history"][0]["comment"] == "by hand"
    assert shop.records[-1] == {"status": image.id}
    assert shop.happened() == [("tag", "tree:1"), ("import", image.id)]


async def test_compressed_and_for_another_platform(shop: Shop) -> None:
    wanted = Wanted(None, "", "-", [], parse_platform("linux/arm/v6"))
    image = await import_(shop.images, reader(gzip.compress(TREE)), wanted, shop.send)
    assert image.diff_ids == [digest(TREE)]
    assert str(image.platform) == "linux/arm/v6"
    assert image.config["comment"] == "Imported from -"
    assert image.repo_tags == []


@pytest.mark.parametrize("data", [b"", b"nonsense" * 100, TREE[:-1500], tar([entry("../x", b"1")])])
async def test_a_bad_archive_leaves_nothing(shop: Shop, data: bytes) -> None:
    with pytest.raises(InvalidArgument, match="invalid archive"):
        await imported(shop, data)
    assert await shop.left() == []


async def test_a_bad_change_is_refused_before_anything_is_read(shop: Shop) -> None:
    with pytest.raises(InvalidArgument, match="RUN is not a valid change command"):
        await imported(shop, TREE, "RUN true")
    assert await shop.left() == []
