"""Archives of docker, podman and skopeo are read, and a corrupt one leaves nothing."""

import gzip
import io
import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import config, digest, docker_archive, entry, folder, symlink, tar
from tests.fixtures.registry import skopeo

from pydock_daemon.images.model import Platform
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

pytestmark = pytest.mark.root
LAYERS = [tar([folder("a"), entry("a/x", b"1")]), tar([entry("a/y", b"22")]), tar([entry("a/.wh.x")])]


async def test_a_docker_archive_becomes_an_image_with_its_names(shop: Shop) -> None:
    archive = docker_archive(LAYERS, ["one:1", "reg.example:5000/two:latest"])
    (image,) = await shop.load(archive)
    assert image.id == digest(config(LAYERS))
    assert image.repo_tags == ["one:1", "reg.example:5000/two:latest"]
    assert image.diff_ids == [digest(layer) for layer in LAYERS]
    assert image.size == 3
    assert shop.images.resolve("one:1") == shop.images.resolve(image.id[7:19]) == image
    assert shop.said()[-2:] == ["Loaded image: one:1", "Loaded image: reg.example:5000/two:latest"]
    shop.snapshots.prepare("k", image.chain)
    with shop.snapshots.mounted("k") as tree:
        assert sorted(path.name for path in (tree / "a").iterdir()) == ["y"]


async def test_it_is_all_there_after_a_restart(shop: Shop) -> None:
    (image,) = await shop.load(docker_archive(LAYERS, ["one:1"]))
    before = await shop.left()
    assert shop.images.resolve("one:1") == image
    assert await shop.left() == before


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, lzma.compress])
async def test_compressed_archives_with_compressed_layers(shop: Shop, compress: Any) -> None:
    archive = docker_archive(LAYERS, ["c:1"], stored=[compress(layer) for layer in LAYERS])
    (image,) = await shop.load(compress(archive), piece=777)
    assert image.id == digest(config(LAYERS))


async def test_an_archive_in_which_layers_are_links(shop: Shop) -> None:
    document = config([LAYERS[0], LAYERS[0]])
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["one/layer.tar", "two/layer.tar"]}]
    archive = tar(
        [
            entry("one/layer.tar", LAYERS[0]),
            symlink("two/layer.tar", "../one/layer.tar"),
            entry("c.json", document),
            entry("manifest.json", json.dumps(manifest).encode()),
        ]
    )
    (image,) = await shop.load(archive)
    assert image.repo_tags == []
    assert shop.said() == [f"Loaded image ID: {image.id}"]


async def test_what_skopeo_writes(shop: Shop, busybox: Path, tmp_path: Path) -> None:
    (image,) = await shop.load(busybox.read_bytes())
    skopeo("copy", f"docker-archive:{busybox}", f"docker-archive:{tmp_path}/d.tar:from/docker:1")
    skopeo("copy", f"docker-archive:{busybox}", f"oci-archive:{tmp_path}/o.tar:from/oci:2")
    skopeo("copy", "--dest-compress-format=zstd", f"docker-archive:{busybox}", f"oci-archive:{tmp_path}/z.tar:plain")
    for name in ("d.tar", "o.tar", "z.tar"):
        (again,) = await shop.load((tmp_path / name).read_bytes())
        assert again.chain == image.chain
    assert shop.images.resolve("from/docker:1").chain == image.chain
    assert shop.images.resolve("from/oci:2").chain == image.chain
    assert shop.said()[-1].startswith("Loaded image ID: sha256:")


async def test_an_index_gives_the_image_of_this_platform(shop: Shop) -> None:
    members, entries = [], []
    for architecture in ("arm64", "amd64"):
        layer = tar([entry("arch", architecture.encode())])
        document = config([layer], architecture=architecture)
        parts = [layer, document]
        manifest = {
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **sized(document)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **sized(layer)}],
        }
        parts.append(json.dumps(manifest).encode())
        members += [entry(f"blobs/sha256/{digest(part)[7:]}", part) for part in parts]
        entries.append({**sized(parts[-1]), "platform": {"os": "linux", "architecture": architecture}})
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    members.append(entry(f"blobs/sha256/{digest(index)[7:]}", index))
    kind = "application/vnd.oci.image.index.v1+json"
    names = {"io.containerd.image.name": "docker.io/library/multi:1"}
    top = {"schemaVersion": 2, "manifests": [{"mediaType": kind, **sized(index), "annotations": names}]}
    archive = tar([*members, entry("index.json", json.dumps(top).encode()), entry("oci-layout", b"{}")])
    (image,) = await shop.load(archive, Platform("linux", "arm64"))
    assert image.architecture == "arm64"
    (image,) = await shop.load(archive, Platform("linux", "amd64"))
    assert shop.images.resolve("multi:1").architecture == "amd64"
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
        await shop.load(archive, Platform("linux", "s390x"))


def sized(data: bytes) -> dict[str, Any]:
    return {"digest": digest(data), "size": len(data)}


async def test_a_name_moves_to_the_newer_image(shop: Shop) -> None:
    (first,) = await shop.load(docker_archive(LAYERS, ["one:1"]))
    (second,) = await shop.load(docker_archive(LAYERS[:1], ["one:1"]))
    assert shop.images.resolve("one:1").id == second.id
    assert shop.images.resolve(first.id).repo_tags == []
    assert any("already exists, renaming the old one with ID" in text for text in shop.said())


def broken(name: str) -> bytes:
    """A fault in an archive."""
    good = docker_archive(LAYERS, ["one:1"])
    document = config(LAYERS)
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["a", "b", "c"]}]

    def built(layers: list[bytes], shown: Any = manifest, about: bytes = document) -> bytes:
        members = [entry(letter, layer) for letter, layer in zip("abc", layers, strict=False)]
        return tar([*members, entry("c.json", about), entry("manifest.json", json.dumps(shown).encode())])

    return {
        "empty": b"",
        "no archive": b"hello" * 1000,
        "cut off": good[:-3000],
        "compressed and cut off": gzip.compress(good)[:-200],
        "neither kind": tar([entry("x", b"1")]),
        "a layer is missing": built(LAYERS[:2]),
        "a layer is another": built([LAYERS[0], LAYERS[2], LAYERS[1]]),
        "a layer is no archive": built([LAYERS[0], b"nonsense" * 100, LAYERS[2]]),
        "a layer escapes": built(
            [LAYERS[0], LAYERS[1], tar([entry("../x", b"1")])],
            about=config([LAYERS[0], LAYERS[1], tar([entry("../x", b"1")])]),
        ),
        "fewer layers than said": built(LAYERS, [{"Config": "c.json", "Layers": ["a"]}]),
        "a configuration of nothing": built(LAYERS, about=b"{}"),
        "a configuration that is no JSON": built(LAYERS, about=b"nonsense"),
        "a manifest that is no list": built(LAYERS, {"Config": 5}),
        "a manifest that nests too deep": tar([entry("manifest.json", b"[" * 100_000)]),
        "a bad name": built(LAYERS, [{**manifest[0], "RepoTags": ["UPPER:1"]}]),
        "a bad digest": built(LAYERS, about=json.dumps({"rootfs": {"diff_ids": ["sha256:../../x"] * 3}}).encode()),
    }[name]


FAULTS = (
    "empty",
    "no archive",
    "cut off",
    "compressed and cut off",
    "neither kind",
    "a layer is missing",
    "a layer is another",
    "a layer is no archive",
    "a layer escapes",
    "fewer layers than said",
    "a configuration of nothing",
    "a configuration that is no JSON",
    "a manifest that is no list",
    "a manifest that nests too deep",
    "a bad name",
    "a bad digest",
)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_faulty_archive_is_refused_and_leaves_nothing(shop: Shop, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await shop.load(broken(name))
    assert await shop.left() == []
    assert shop.images.count() == 0


async def test_a_client_that_goes_away_leaves_nothing(shop: Shop) -> None:
    archive = docker_archive(LAYERS, ["one:1"])
    pieces = iter([archive[:5000]])

    async def read() -> bytes:
        try:
            return next(pieces)
        except StopIteration:
            raise ConnectionResetError("gone") from None

    from pydock_daemon.images.load import load

    with pytest.raises(ConnectionResetError):
        await load(shop.images, read, [], shop.send, quiet=True)
    assert await shop.left() == []


async def test_what_two_images_share_stays_with_the_other(shop: Shop) -> None:
    await shop.load(docker_archive(LAYERS[:2], ["one:1"]))
    before = await shop.left()
    with pytest.raises(PydockError):
        await shop.load(broken("a layer is another"))
    assert await shop.left() == before


def test_the_fixture_writes_what_tarfile_reads() -> None:
    with tarfile.open(fileobj=io.BytesIO(docker_archive(LAYERS, ["one:1"]))) as opened:
        assert "manifest.json" in opened.getnames()
