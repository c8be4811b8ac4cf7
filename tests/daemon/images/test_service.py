"""Names of images, the content store behind them, and what a crash leaves of both."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import digest, docker_archive, entry, tar

from pydock_daemon.images.model import Platform, parse_platform
from pydock_runtime import linux
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

pytestmark = pytest.mark.root
LAYERS = [tar([entry("x", b"1")])]


async def test_names_and_ids(shop: Shop) -> None:
    (image,) = await shop.load(docker_archive(LAYERS, ["one:1", "deadbeef:latest"]))
    for name in ("one:1", "docker.io/library/one:1", image.id, image.id[7:], image.short, image.id[:15], "deadbeef"):
        assert shop.images.resolve(name).id == image.id, name
    for name, message in (
        ("one", "No such image: one:latest"),
        ("one@" + digest(b"x"), "No such image: one@" + digest(b"x")),
        (digest(b"x"), f"No such image: {digest(b'x')}"),
        ("sha256:beef", "No such image: sha256:beef"),
    ):
        with pytest.raises(NotFound) as caught:
            shop.images.resolve(name)
        assert caught.value.message == message
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        shop.images.resolve("a b")
    with pytest.raises(InvalidArgument, match="must be lowercase"):
        shop.images.resolve("UPPER")


async def test_the_beginning_of_two_ids(shop: Shop) -> None:
    ids = set()
    for number in range(40):
        (image,) = await shop.load(docker_archive([], [], author=str(number)))
        ids.add(image.id[7])
    common = next(first for first in ids if sum(image.id[7] == first for image in shop.images) > 1)
    with pytest.raises(InvalidArgument, match=f"multiple IDs found with provided prefix: {common}"):
        shop.images.resolve(common)


async def test_tags_move(shop: Shop) -> None:
    (one,) = await shop.load(docker_archive(LAYERS, ["one:1"]))
    (two,) = await shop.load(docker_archive([], ["two:1"]))
    shop.images.tag("one:1", "two:1")
    assert shop.images.resolve("two:1").id == one.id
    assert shop.images.resolve(two.id).repo_tags == []
    with pytest.raises(InvalidArgument, match="refusing to create a tag with a digest reference"):
        shop.images.tag("one:1", f"x@{digest(b'x')}")
    assert shop.happened()[-1] == ("tag", "two:1")


async def test_what_a_crash_leaves_is_cleared_at_the_next_start(shop: Shop) -> None:
    await shop.load(docker_archive(LAYERS, ["one:1"]))
    before = await shop.left()
    content = shop.root / "content"
    (content / "ingest/half").write_bytes(b"half")
    (content / "blobs/sha256" / digest(b"no row")[7:]).write_bytes(b"no row")
    shop.images.content.add(b"a row that no image needs")
    await shop.close()
    await shop.open()
    assert await shop.left() == before


async def test_a_blob_that_is_pinned_is_not_swept(shop: Shop) -> None:
    content = shop.images.content
    with content.pinned() as pins:
        pins.hold(digest(b"blob"))
        content.add(b"blob")
        assert shop.images.sweep() == 0
        assert content.read(digest(b"blob")) == b"blob"
    assert shop.images.sweep() == 4
    with pytest.raises(NotFound):
        content.read(digest(b"blob"))
    content.add(b"blob")
    assert content.read(digest(b"blob")) == b"blob"


def test_platforms() -> None:
    assert parse_platform("linux/arm64") == Platform("linux", "arm64")
    assert parse_platform("arm64") == Platform("linux", "arm64")
    assert parse_platform("linux/arm64").runs(Platform("linux", "aarch64", "v8"))
    assert parse_platform("linux/amd64").runs(Platform("linux", "x86_64"))
    assert not parse_platform("linux/arm/v6").runs(Platform("linux", "arm", "v7"))
    assert parse_platform("linux/arm").runs(Platform("linux", "arm", "v7"))
    for text in ("", "linux/", "a/b/c/d", "foo", "a b", "linux/a b"):
        with pytest.raises(InvalidArgument):
            parse_platform(text)


async def test_rows_whose_files_are_gone(shop: Shop) -> None:
    (image,) = await shop.load(docker_archive(LAYERS, ["one:1"]))
    blob, folder = shop.images.content.path(image.blobs[0]), shop.snapshots.diff(image.chain[0]).parent
    await shop.close()
    blob.unlink()
    shutil.rmtree(folder)
    await shop.open()
    with pytest.raises(NotFound, match="layer does not exist"):
        shop.snapshots.prepare("k", image.chain)
    await shop.load(docker_archive(LAYERS, ["one:1"]))
    shop.snapshots.prepare("k", image.chain)
    assert shop.images.content.path(image.blobs[0]) == blob


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A content store on a disk of a megabyte."""
    path = tmp_path / "data/content"
    path.mkdir(parents=True)
    linux.mount("small", str(path), "tmpfs", 0, "size=1m")
    yield path
    linux.umount2(str(path), 0)


async def test_a_full_disk(small_disk: Path) -> None:
    shop = Shop(small_disk.parent)
    await shop.open()
    with pytest.raises(PydockError, match=r"image store: no space left on device"):
        await shop.load(docker_archive([tar([entry("big", bytes(2 << 20))])], ["big:1"]))
    assert await shop.left() == []
    await shop.close()
