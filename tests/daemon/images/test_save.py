"""What is saved loads again, here and elsewhere, with the same ids."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import docker_archive, entry, extract_names, tar
from tests.fixtures.registry import Registry, skopeo

from pydock_daemon.images import save
from pydock_shared.errors import NotFound

pytestmark = pytest.mark.root


async def saved(shop: Shop, *names: str) -> bytes:
    """The archive of images."""
    found = save.chosen(shop.images, list(names))
    return b"".join([piece async for piece in save.stream(shop.images, found)])


def document(archive: bytes, name: str) -> Any:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.extractfile(name)
        assert member
        return json.load(member)


@pytest.mark.parametrize("form", ["v2s2", "oci"])
async def test_a_pulled_image_keeps_everything(
    shop: Shop, registry: Registry, busybox: Path, tmp_path: Path, form: str
) -> None:
    registry.copy(f"docker-archive:{busybox}", "saved:1", f"--format={form}")
    image = await shop.pull(registry.name("saved:1"))
    archive = await saved(shop, registry.name("saved:1"))
    path = tmp_path / "saved.tar"
    path.write_bytes(archive)
    seen = json.loads(skopeo("inspect", f"docker-archive:{path}"))
    assert seen["Layers"] == [*image.diff_ids]
    about = json.loads(skopeo("inspect", "--config", f"docker-archive:{path}"))
    assert about["rootfs"]["diff_ids"] == image.diff_ids
    if form == "oci":
        raw = skopeo("inspect", "--raw", f"oci-archive:{path}:1")
        assert json.loads(raw)["config"]["digest"] == image.id
    other = Shop(tmp_path / "other")
    other.root.mkdir()
    await other.open()
    (again,) = await other.load(archive)
    assert (again.id, again.manifest, again.blobs) == (image.id, image.manifest, image.blobs)
    assert again.repo_tags == image.repo_tags
    await other.close()


async def test_a_loaded_image_goes_through_skopeo_and_back(shop: Shop, busybox: Path, tmp_path: Path) -> None:
    (image,) = await shop.load(busybox.read_bytes())
    path = tmp_path / "saved.tar"
    path.write_bytes(await saved(shop, "busybox"))
    skopeo("copy", f"docker-archive:{path}", f"docker-archive:{tmp_path}/back.tar:back:1")
    (back,) = await shop.load((tmp_path / "back.tar").read_bytes())
    assert back.id == image.id
    assert back.repo_tags == ["back:1", "busybox:latest"]


async def test_a_bare_name_is_all_of_its_tags(shop: Shop) -> None:
    layer = tar([entry("x", b"1")])
    (one,) = await shop.load(docker_archive([layer], ["many:1", "many:latest", "other:1"]))
    (two,) = await shop.load(docker_archive([layer, layer], ["many:2"]))
    archive = await saved(shop, "many")
    assert {tuple(item["RepoTags"]) for item in document(archive, "manifest.json")} == {
        ("many:1", "many:latest"),
        ("many:2",),
    }
    named = document(await saved(shop, "many:1", "other:1", two.id), "manifest.json")
    assert [item["RepoTags"] for item in named] == [["many:1", "other:1"], None]
    assert document(await saved(shop, one.short), "manifest.json")[0]["RepoTags"] is None


async def test_the_layout_is_that_of_docker(shop: Shop) -> None:
    (image,) = await shop.load(docker_archive([tar([entry("x", b"1")])], ["one:1"]))
    archive = await saved(shop, "one:1")
    names = extract_names(archive)
    assert names[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"]
    assert len([name for name in names if name.startswith("blobs/sha256/")]) == 3
    (descriptor,) = document(archive, "index.json")["manifests"]
    assert descriptor["annotations"] == {
        "io.containerd.image.name": "docker.io/library/one:1",
        "org.opencontainers.image.ref.name": "1",
    }
    assert document(archive, "repositories") == {"one": {"1": image.blobs[-1][7:]}}
    assert await saved(shop, "one:1") == archive


async def test_unknown_names(shop: Shop) -> None:
    with pytest.raises(NotFound, match=r"^No such image: nothing$"):
        save.chosen(shop.images, ["nothing"])
