"""Images of several platforms: an index with any part of it here, pulled, pushed, saved, loaded, shown and removed."""

import asyncio
import json
import platform
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import docker_archive, entry, tar
from tests.fixtures.platforms import DOCKER_LIST, Json, Layout
from tests.fixtures.registry import Registry, skopeo

from pydock_daemon.images import delete, listing, manifests, save
from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.model import Platform, parse_platform, whole_host_platform
from pydock_daemon.images.push import push
from pydock_shared import reference
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError
from pydock_shared.filters import Filters

pytestmark = pytest.mark.root
AMD, ARM, OLD = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm", "v6")


@pytest.fixture(autouse=True)
def on_amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine the tests run on, images are chosen as on this one."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    whole_host_platform.cache_clear()


class Multi(NamedTuple):
    """An index of three platforms and an attestation, and the names of its parts."""

    layout: Layout
    top: Json
    amd: Json
    arm: Json
    old: Json
    attested: Json


@pytest.fixture
def multi() -> Multi:
    layout = Layout()
    amd, arm, old = (layout.image(name) for name in ("linux/amd64", "linux/arm64/v8", "linux/arm/v6"))
    attested = layout.attestation(amd)
    return Multi(layout, layout.index(arm, amd, old, attested), amd, arm, old, attested)


def fill(registry: Registry, path: Path, layout: Layout, top: Json, name: str) -> str:
    """Bring a layout into a registry, with its bytes, and return the name."""
    folder = layout.write(path / name.replace("/", "-").replace(":", "-"), top=top)
    registry.copy(f"oci:{folder}:top", name, "--all", "--preserve-digests")
    return registry.name(name)


def config_of(layout: Layout, image: Json) -> str:
    return str(json.loads(layout.blobs[image["digest"]])["config"]["digest"])


def there(shop: Shop) -> set[str]:
    """The blobs of the store."""
    return {f"sha256:{path.name}" for path in (shop.root / "content/blobs/sha256").iterdir()}


async def pushed(shop: Shop, name: str, platform: Platform | None = None) -> Json:
    """Push, and return what the client is told of it."""
    shop.records.clear()
    await push(shop.images, reference.parse(name), platform, Credentials(), shop.send)
    return {key: value for record in shop.records for key, value in record.get("aux", {}).items()}


async def test_a_pull_keeps_the_index_and_further_platforms_join_it(
    shop: Shop, registry: Registry, tmp_path: Path, multi: Multi
) -> None:
    name = fill(registry, tmp_path, multi.layout, multi.top, "join:1")
    amd = await shop.pull(name)
    assert amd.id == config_of(multi.layout, multi.amd)
    parts = multi.layout.below(multi.amd) | multi.layout.below(multi.attested) | {multi.top["digest"]}
    assert there(shop) == parts
    assert amd.repo_digests == [f"{name.removesuffix(':1')}@{multi.top['digest']}"]
    arm = await shop.pull(name, ARM)
    assert there(shop) == parts | multi.layout.below(multi.arm)
    assert shop.images.resolve(name).id == amd.id
    assert shop.images.resolve(name, ARM).id == arm.id
    assert arm.repo_tags == [name]
    assert arm.repo_digests == amd.repo_digests
    assert [one["Id"] for one in listing.listing(shop.images, Filters({}))] == [amd.id]
    shop.records.clear()
    await shop.pull(name)
    assert shop.said()[-1] == f"Status: Image is up to date for {name}"
    await shop.close()
    await shop.open()
    assert shop.images.resolve(name, ARM).id == arm.id
    assert there(shop) == parts | multi.layout.below(multi.arm)


async def test_what_this_host_runs_leads_whatever_came_first(
    shop: Shop, registry: Registry, tmp_path: Path, multi: Multi
) -> None:
    name = fill(registry, tmp_path, multi.layout, multi.top, "lead:1")
    arm = await shop.pull(name, ARM)
    assert shop.images.resolve(name).id == arm.id
    amd = await shop.pull(name)
    assert shop.images.resolve(name).id == amd.id
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/s390x\)"):
        shop.images.resolve(name, parse_platform("linux/s390x"))
    with pytest.raises(NotFound, match="wanted linux/arm64, actual: linux/amd64"):
        shop.images.resolve(amd.id, ARM)


async def test_an_index_of_indexes(shop: Shop, registry: Registry, tmp_path: Path) -> None:
    layout = Layout()
    amd, arm = layout.image("linux/amd64"), layout.image("linux/arm64")
    top = layout.index(layout.index(arm), layout.index(layout.index(amd), kind=DOCKER_LIST))
    (one,) = await shop.load(layout.archive({"docker.io/library/deep:1": top}), AMD)
    assert one.id == config_of(layout, amd)
    await shop.load(layout.archive({"docker.io/library/deep:1": top}))
    assert there(shop) == layout.below(top)
    shop.images.tag("deep:1", registry.name("deep:1"))
    await pushed(shop, registry.name("deep:1"))
    assert (
        skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.name('deep:1')}").encode()
        == (layout.blobs[top["digest"]])
    )
    for _ in range(9):
        top = layout.index(top)
    with pytest.raises(PydockError, match="an index of indexes that has no end"):
        await shop.load(layout.archive({"docker.io/library/deeper:1": top}))


async def test_an_index_that_is_here_as_a_whole_is_pushed_as_it_came(
    shop: Shop, registry: Registry, tmp_path: Path, multi: Multi
) -> None:
    name = fill(registry, tmp_path, multi.layout, multi.top, "whole:1")
    for wanted in (AMD, ARM, OLD):
        await shop.pull(name, wanted)
    target = registry.name("whole-again:2")
    shop.images.tag(name, target)
    told = await pushed(shop, target)
    assert told["Digest"] == multi.top["digest"]
    assert "manifestPushedInsteadOfIndex" not in told
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}")
    assert raw.encode() == multi.layout.blobs[multi.top["digest"]]
    assert f"{target.removesuffix(':2')}@{multi.top['digest']}" in shop.images.resolve(target).repo_digests


async def test_of_an_index_in_part_one_platform_is_pushed(
    shop: Shop, registry: Registry, tmp_path: Path, multi: Multi
) -> None:
    name = fill(registry, tmp_path, multi.layout, multi.top, "part:1")
    await shop.pull(name)
    target = registry.name("part-again:1")
    shop.images.tag(name, target)
    told = await pushed(shop, target)
    assert told["Digest"] == told["selectedManifest"]["digest"] == multi.amd["digest"]
    assert told["originalIndex"] == multi.top
    await shop.pull(name, ARM)
    assert (await pushed(shop, target))["Digest"] == multi.amd["digest"]
    told = await pushed(shop, target, ARM)
    assert told == {"Tag": "1", "Digest": multi.arm["digest"], "Size": multi.arm["size"]}
    digests = shop.images.resolve(target, ARM).repo_digests
    assert f"{target.removesuffix(':1')}@{multi.arm['digest']}" in digests
    assert registry.inspect("part-again:1", "--override-arch=arm64")["Architecture"] == "arm64"
    with pytest.raises(NotFound, match="no suitable image manifest found for platform linux/arm/v6"):
        await pushed(shop, target, OLD)


async def test_of_two_platforms_that_do_not_run_here_one_is_to_be_named(
    shop: Shop, registry: Registry, multi: Multi
) -> None:
    name = registry.name("foreign:1")
    archive = multi.layout.archive({name: multi.top})
    await shop.load(archive, ARM)
    await shop.load(archive, OLD)
    with pytest.raises(Conflict, match="multiple matching manifests found but no specific platform requested"):
        await pushed(shop, name)
    assert (await pushed(shop, name, ARM))["Digest"] == multi.arm["digest"]


async def saved(shop: Shop, *names: str, platforms: tuple[Platform, ...] = ()) -> bytes:
    chosen = save.chosen(shop.images, list(names), platforms)
    return b"".join([piece async for piece in save.stream(shop.images, chosen)])


async def test_save_and_load_keep_every_platform_and_byte(shop: Shop, tmp_path: Path, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    assert there(shop) == multi.layout.below(multi.top)
    ids = {one.id for one in shop.images}
    archive = await saved(shop, "multi:1")
    other = Shop(tmp_path / "other")
    other.root.mkdir()
    await other.open()
    await other.load(archive)
    assert there(other) == multi.layout.below(multi.top)
    assert {one.id for one in other.images} == ids
    assert other.images.resolve("multi:1").id == config_of(multi.layout, multi.amd)
    await other.close()


async def test_save_of_single_platforms(shop: Shop, tmp_path: Path, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    path = tmp_path / "arm.tar"
    path.write_bytes(await saved(shop, "multi:1", platforms=(ARM,)))
    about = json.loads(skopeo("inspect", f"docker-archive:{path}"))
    assert about["Architecture"] == "arm64"
    assert about["RepoTags"] == []
    assert json.loads(skopeo("inspect", f"oci-archive:{path}"))["Digest"] == multi.arm["digest"]
    two = await saved(shop, "multi:1", platforms=(ARM, AMD))
    delete.delete(shop.images, "multi:1", force=False)
    assert there(shop) == set()
    await shop.load(two)
    assert {one.architecture for one in shop.images} == {"arm64", "amd64"}
    assert there(shop) == multi.layout.below(multi.top) - multi.layout.below(multi.old)
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/s390x\)"):
        save.chosen(shop.images, ["multi:1"], [parse_platform("linux/s390x")])


async def test_an_id_is_one_platform_for_save_and_tag(shop: Shop, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    arm = shop.images.resolve("multi:1", ARM)
    (chosen,) = save.chosen(shop.images, [arm.id])
    assert (chosen.top, chosen.id, chosen.names) == (multi.arm["digest"], arm.id, [])
    shop.images.tag(arm.id, "arm:1")
    assert shop.images.names.target(reference.parse("arm:1")) == multi.arm["digest"]
    assert [one["RepoTags"] for one in listing.listing(shop.images, Filters({}))].count(["arm:1", "multi:1"]) == 1


async def test_a_load_takes_the_platforms_that_an_archive_has(shop: Shop, multi: Multi) -> None:
    without = multi.layout.below(multi.arm) - multi.layout.below(multi.amd)
    loaded = await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}, without=without))
    assert {one.architecture for one in loaded} == {"amd64", "arm"}
    with pytest.raises(InvalidArgument, match=f"{multi.arm['digest']} is not in it"):
        await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}, without=without), ARM)
    delete.delete(shop.images, "multi:1", force=False)
    everything = [one["digest"] for one in (multi.amd, multi.arm, multi.old)]
    with pytest.raises(InvalidArgument, match="no image of the index"):
        await shop.load(multi.layout.archive({"docker.io/library/x:1": multi.top}, without=everything))


async def test_a_load_refuses_what_has_not_the_platform(shop: Shop) -> None:
    with pytest.raises(NotFound, match="no image that matches the specified platform: wanted linux/arm64"):
        await shop.load(docker_archive([tar([entry("x", b"1")])], ["one:1"]), ARM)
    assert await shop.left() == []


async def test_manifests_that_are_no_images_are_kept_and_not_chosen(
    shop: Shop, registry: Registry, tmp_path: Path
) -> None:
    layout = Layout()
    amd, artifact = layout.image("linux/amd64"), layout.artifact()
    top = layout.index(artifact, amd)
    await shop.load(layout.archive({registry.name("odd:1"): top}))
    assert there(shop) == layout.below(top)
    (image,) = list(shop.images)
    kinds = [one["Kind"] for one in manifests.summaries(shop.images, image)]
    assert kinds == ["unknown", "image"]
    only = layout.index(artifact)
    with pytest.raises(InvalidArgument, match="no image of the index"):
        await shop.load(layout.archive({"docker.io/library/x:1": only}))
    name = fill(registry, tmp_path, layout, only, "nothing:1")
    with pytest.raises(PydockError, match="this is no container image"):
        await shop.pull(name)


async def test_the_summaries_of_manifests(shop: Shop, registry: Registry, tmp_path: Path, multi: Multi) -> None:
    name = fill(registry, tmp_path, multi.layout, multi.top, "shown:1")
    image = await shop.pull(name)
    shop.images.users = lambda id_: [User("c" * 64, alive=False)] if id_ == image.id else []
    shown = {one["ID"]: one for one in manifests.summaries(shop.images, image)}
    amd, arm, attested = (shown[one["digest"]] for one in (multi.amd, multi.arm, multi.attested))
    content = sum(len(multi.layout.blobs[digest]) for digest in multi.layout.below(multi.amd))
    assert amd == {
        "ID": multi.amd["digest"],
        "Descriptor": multi.amd,
        "Available": True,
        "Size": {"Content": content, "Total": content + image.size},
        "Kind": "image",
        "ImageData": {
            "Platform": {"os": "linux", "architecture": "amd64"},
            "Containers": ["c" * 64],
            "Size": {"Unpacked": image.size},
        },
    }
    assert (arm["Available"], arm["Size"]) == (False, {"Content": 0, "Total": 0})
    assert (attested["Kind"], attested["AttestationData"]) == ("attestation", {"For": multi.amd["digest"]})
    assert manifests.descriptor(shop.images, image) == multi.top


class User(NamedTuple):
    """A container that uses an image."""

    id: str
    alive: bool


async def test_the_last_name_takes_every_platform_along(shop: Shop, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top, "docker.io/library/m:2": multi.top}))
    assert delete.delete(shop.images, "m:2", force=False) == [{"Untagged": "m:2"}]
    assert there(shop) == multi.layout.below(multi.top)
    deleted = [one["Deleted"] for one in delete.delete(shop.images, "multi:1", force=False) if "Deleted" in one]
    assert {config_of(multi.layout, one) for one in (multi.amd, multi.arm, multi.old)} <= set(deleted)
    assert await shop.left() == []


async def test_a_platform_that_a_container_has_stays(shop: Shop, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    arm = config_of(multi.layout, multi.arm)
    shop.images.users = lambda id_: [User("c" * 64, alive=True)] if id_ == arm else []
    with pytest.raises(Conflict, match=r"container c{12} is using its referenced image"):
        delete.delete(shop.images, "multi:1", force=False)
    with pytest.raises(Conflict, match="image is being used by running container"):
        delete.delete_platforms(shop.images, "multi:1", [ARM], force=True)
    assert delete.prune(shop.images, Filters({"dangling": ["false"]})).records == []
    delete.delete(shop.images, "multi:1", force=True)
    assert [one.id for one in shop.images] == [arm]
    assert shop.images.resolve(arm).repo_tags == []


async def test_single_platforms_are_removed(shop: Shop, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    records = delete.delete_platforms(shop.images, "multi:1", [AMD], force=False)
    assert {"Deleted": config_of(multi.layout, multi.amd)} in records
    gone = multi.layout.below(multi.amd) | multi.layout.below(multi.attested)
    assert there(shop) == multi.layout.below(multi.top) - (gone - multi.layout.below(multi.arm))
    assert shop.images.resolve("multi:1").architecture == "arm64"
    with pytest.raises(NotFound, match=r"does not provide the specified platform \(linux/amd64\)"):
        delete.delete_platforms(shop.images, "multi:1", [AMD], force=False)
    delete.delete_platforms(shop.images, "multi:1", [ARM], force=False)
    with pytest.raises(Conflict, match="no other platform than linux/arm/v6 is here"):
        delete.delete_platforms(shop.images, "multi:1", [OLD], force=False)
    delete.delete(shop.images, "multi:1", force=False)
    assert await shop.left() == []


async def test_prune_takes_an_unused_image_with_all_platforms(shop: Shop, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    assert delete.prune(shop.images, Filters({})).records == []
    delete.prune(shop.images, Filters({"dangling": ["false"]}))
    assert await shop.left() == []


async def test_a_tag_that_moves_on_leaves_the_old_platforms_without_name(shop: Shop, multi: Multi) -> None:
    await shop.load(multi.layout.archive({"docker.io/library/multi:1": multi.top}))
    await shop.load(docker_archive([], ["multi:1"]))
    shown = listing.listing(shop.images, Filters({"dangling": ["true"]}))
    assert {one["Id"] for one in shown} == {config_of(multi.layout, one) for one in (multi.amd, multi.arm, multi.old)}
    delete.prune(shop.images, Filters({}))
    assert shop.images.count() == 1


async def test_names_of_a_time_without_targets(shop: Shop) -> None:
    (image,) = await shop.load(docker_archive([tar([entry("x", b"1")])], ["one:1"]))
    with shop.store.transaction() as db:
        db.execute("drop table image_targets")
        db.execute("drop table image_members")
    await shop.close()
    await shop.open()
    assert shop.images.names.target(reference.parse("one:1")) == image.manifest
    shop.images.tag("one:1", "two:1")
    assert shop.images.resolve("two:1").id == image.id
    assert shop.images.is_whole(image)


async def test_two_platforms_at_a_time(shop: Shop, registry: Registry, tmp_path: Path, multi: Multi) -> None:
    name = fill(registry, tmp_path, multi.layout, multi.top, "race:1")
    await asyncio.gather(*(shop.pull(name, wanted) for wanted in (AMD, ARM, OLD)))
    assert there(shop) == multi.layout.below(multi.top)
    assert shop.images.resolve(name).architecture == "amd64"
