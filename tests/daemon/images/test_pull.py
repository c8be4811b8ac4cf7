"""Images come from a real registry, filled by skopeo: every format, compression and way of naming."""

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.daemon.images.conftest import Shop
from tests.fixtures.archives import docker_archive, entry, folder, tar
from tests.fixtures.certificates import Authority
from tests.fixtures.registry import Registry, free_port, serving, short, skopeo

from pydock_daemon.images.auth import Credentials, decode_header
from pydock_daemon.images.model import parse_platform
from pydock_shared import reference
from pydock_shared.errors import NotFound, PydockError

pytestmark = pytest.mark.root
LAYERS = [tar([folder("a"), entry(f"a/{n}", bytes([n]) * 100_000)]) for n in range(5)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image of five layers."""
    path = tmp_path / "five.tar"
    path.write_bytes(docker_archive(LAYERS, ["five:1"]))
    return path


FORMS = {
    "schema 2, gzip": ("--format=v2s2",),
    "oci, gzip": ("--format=oci",),
    "oci, zstd": ("--format=oci", "--dest-compress", "--dest-compress-format=zstd"),
    "oci, plain": ("--format=oci", "--dest-decompress"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_format_and_compression(shop: Shop, registry: Registry, archive: Path, form: str) -> None:
    name = f"form/{form.replace(', ', '-').replace(' ', '')}:1"
    registry.copy(f"docker-archive:{archive}", name, *FORMS[form])
    image = await shop.pull(registry.name(name))
    seen = registry.inspect(name)
    assert image.repo_tags == [registry.name(name)]
    assert image.repo_digests == [f"{registry.name(name.removesuffix(':1'))}@{seen['Digest']}"]
    assert image.blobs == seen["Layers"]
    assert image.size == 500_000
    shop.snapshots.prepare("k", image.chain)
    with shop.snapshots.mounted("k") as tree:
        assert (tree / "a/3").read_bytes() == bytes([3]) * 100_000


async def test_the_records_are_those_of_docker(shop: Shop, registry: Registry, archive: Path) -> None:
    registry.copy(f"docker-archive:{archive}", "records:1")
    image = await shop.pull(registry.name("records:1"))
    said = shop.said()
    assert said[0] == "Pulling from records"
    assert shop.records[0] == {"status": "Pulling from records", "id": "1"}
    for blob in image.blobs:
        assert shop.said(short(blob)) == [
            "Pulling fs layer",
            "Verifying Checksum",
            "Download complete",
            "Pull complete",
        ]
    digest = image.repo_digests[0].split("@")[1]
    assert said[-2:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {registry.name('records:1')}"]
    shop.records.clear()
    await shop.pull(registry.name("records:1"))
    assert shop.said()[0] == "Pulling from records"
    assert shop.said()[2] == f"Status: Image is up to date for {registry.name('records:1')}"
    assert ("pull", registry.name("records")) in shop.happened()


async def test_by_digest(shop: Shop, registry: Registry, archive: Path) -> None:
    registry.copy(f"docker-archive:{archive}", "digests:1")
    name = f"{registry.name('digests')}@{registry.inspect('digests:1')['Digest']}"
    image = await shop.pull(name)
    assert (image.repo_tags, image.repo_digests) == ([], [name])
    assert shop.images.resolve(name) == image


async def test_shared_layers_are_fetched_once(shop: Shop, registry: Registry, archive: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.tar"
    more.write_bytes(docker_archive([*LAYERS[:3], tar([entry("z", b"z")])], ["more:1"]))
    registry.copy(f"docker-archive:{archive}", "shared:1")
    registry.copy(f"docker-archive:{more}", "shared:2")
    first = await shop.pull(registry.name("shared:1"))
    second = await shop.pull(registry.name("shared:2"))
    said = [shop.said(short(blob))[-1] for blob in second.blobs]
    assert said == ["Already exists"] * 3 + ["Pull complete"]
    assert first.chain[:3] == second.chain[:3]
    assert len([name for name in await shop.left() if name.startswith("layers/")]) == 6


async def test_two_pulls_of_one_image_at_a_time(shop: Shop, registry: Registry, archive: Path) -> None:
    registry.copy(f"docker-archive:{archive}", "twice:1")
    name = registry.name("twice:1")
    first, second = await asyncio.gather(shop.pull(name), shop.pull(name))
    assert first.id == second.id
    assert len(await shop.left()) == 5 + 5 + 2


def write_index(registry: Registry, tmp_path: Path, name: str) -> None:
    """Put an index with two platforms under a name."""
    entries = []
    for architecture in ("amd64", "arm64"):
        path = tmp_path / f"{architecture}.tar"
        layer = tar([entry("arch", architecture.encode())])
        path.write_bytes(docker_archive([layer], ["x:1"], architecture=architecture))
        registry.copy(f"docker-archive:{path}", f"{name}:{architecture}")
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.name(f'{name}:{architecture}')}")
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        digest = registry.inspect(f"{name}:{architecture}")["Digest"]
        platform = {"os": "linux", "architecture": architecture}
        entries.append({"mediaType": kind, "digest": digest, "size": len(raw), "platform": platform})
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": entries,
    }
    url = f"http://{registry.host}/v2/{name}/manifests/multi"
    command = ["curl", "-sSf", "-X", "PUT", "-H", f"Content-Type: {index['mediaType']}", "--data-binary", "@-", url]
    subprocess.run(command, input=json.dumps(index).encode(), check=True, timeout=20)


async def test_an_index_is_followed_to_the_platform(shop: Shop, registry: Registry, tmp_path: Path) -> None:
    write_index(registry, tmp_path, "multi")
    name = registry.name("multi:multi")
    image = await shop.pull(name)
    assert image.architecture == "amd64"
    other = await shop.pull(name, parse_platform("linux/arm64/v8"))
    assert other.architecture == "arm64"
    assert shop.images.resolve(name).id == image.id
    assert shop.images.resolve(name, parse_platform("linux/arm64")).id == other.id
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        await shop.pull(name, parse_platform("linux/s390x"))
    with pytest.raises(NotFound, match="not match the specified platform: wanted linux/arm64, actual: linux/amd64"):
        await shop.pull(registry.name("multi:amd64"), parse_platform("linux/arm64"))


async def test_unknown_names_in_the_words_of_docker(shop: Shop, registry: Registry, archive: Path) -> None:
    registry.copy(f"docker-archive:{archive}", "known:1")
    for name in ("known:2", "unknown:1"):
        with pytest.raises(NotFound) as caught:
            await shop.pull(registry.name(name))
        assert caught.value.message == (
            f"manifest for {registry.name(name)} not found: manifest unknown: manifest unknown"
        )
    assert shop.records == []
    assert await shop.left() == []


async def test_a_registry_that_is_not_there(shop: Shop) -> None:
    port = free_port()
    with pytest.raises(PydockError, match=f'"http://127.0.0.1:{port}/v2/x/manifests/1": .*connection refused'):
        await shop.pull(f"127.0.0.1:{port}/x:1")


async def test_basic_authentication(shop: Shop, tmp_path: Path, archive: Path) -> None:
    (tmp_path / "htpasswd").write_text("me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
    auth = f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/htpasswd}}}}"
    with serving(tmp_path / "registry", auth) as guarded:
        with pytest.raises(PydockError, match="no basic auth credentials"):
            await shop.pull(guarded.name("x:1"))
        with pytest.raises(PydockError, match="unauthorized: authentication required"):
            await shop.pull(guarded.name("x:1"), credentials=Credentials("me", "wrong"))
        guarded.copy(f"docker-archive:{archive}", "x:1", "--dest-creds=me:secret")
        image = await shop.pull(guarded.name("x:1"), credentials=Credentials("me", "secret"))
        assert image.size == 500_000


async def test_tls_with_an_authority_and_a_certificate_of_ones_own(archive: Path, tmp_path: Path) -> None:
    own = Authority()
    own.issue("registry").write(tmp_path / "server.crt", tmp_path / "server.key")
    (tmp_path / "ca.crt").write_bytes(own.certificate)
    tls = f", tls: {{certificate: {tmp_path}/server.crt, key: {tmp_path}/server.key, clientcas: [{tmp_path}/ca.crt]}}"
    with serving(tmp_path / "registry", http=tls) as guarded:
        folder = tmp_path / "certs" / f"localhost:{guarded.port}"
        folder.mkdir(parents=True)
        own.issue("me").write(folder / "client.cert", folder / "client.key")
        (folder / "ca.crt").write_bytes(own.certificate)
        skopeo(
            "copy", f"--dest-cert-dir={folder}", f"docker-archive:{archive}", f"docker://localhost:{guarded.port}/x:1"
        )
        trusting = Shop(tmp_path / "trusting", certificates=(tmp_path / "certs",))
        stranger = Shop(tmp_path / "stranger", certificates=())
        for shop in (trusting, stranger):
            shop.root.mkdir()
            await shop.open()
        image = await trusting.pull(f"localhost:{guarded.port}/x:1")
        assert image.size == 500_000
        with pytest.raises(PydockError, match=r"HTTP to an HTTPS|certificate required|400"):
            await stranger.pull(f"localhost:{guarded.port}/x:1")
        await trusting.close()
        await stranger.close()


async def test_a_mirror_of_the_hub(registry: Registry, archive: Path, tmp_path: Path) -> None:
    registry.copy(f"docker-archive:{archive}", "library/mirrored:1")
    mirrored = Shop(tmp_path / "mirrored", registry_mirrors=(f"http://{registry.host}/",))
    mirrored.root.mkdir()
    await mirrored.open()
    image = await mirrored.pull("mirrored:1")
    ref = reference.parse("mirrored", default_tag=False)
    assert await mirrored.images.registries.tags(ref, Credentials()) == ["1"]
    assert image.repo_tags == ["mirrored:1"]
    assert mirrored.said()[0] == "Pulling from library/mirrored"
    await mirrored.close()


def test_the_header_of_credentials() -> None:
    text = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "pä?>"}).encode()).decode()
    assert decode_header(text) == decode_header(text.rstrip("=")) == Credentials("me", "pä?>")
    assert decode_header("") == decode_header("e30=") == Credentials()
    joined = base64.b64encode(json.dumps({"auth": base64.b64encode(b"you:secret").decode()}).encode()).decode()
    assert decode_header(joined) == Credentials("you", "secret")


async def test_a_pull_mends_an_image_that_has_lost_a_layer(shop: Shop, registry: Registry, archive: Path) -> None:
    registry.copy(f"docker-archive:{archive}", "mended:1")
    image = await shop.pull(registry.name("mended:1"))
    shutil.rmtree(shop.snapshots.diff(image.chain[4]).parent)
    await shop.close()
    await shop.open()
    shop.records.clear()
    again = await shop.pull(registry.name("mended:1"))
    assert again.id == image.id
    assert [shop.said(short(blob))[-1] for blob in image.blobs] == ["Already exists"] * 4 + ["Pull complete"]
    shop.snapshots.prepare("k", image.chain)
