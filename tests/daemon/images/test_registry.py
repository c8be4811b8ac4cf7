"""A registry that lies, drops connections or asks for tokens: an error that names the thing, and nothing left."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.liar import Liar, lying
from tests.fixtures.archives import config, digest, entry, tar

from pydock_daemon.images.auth import Credentials, challenges
from pydock_daemon.images.delete import delete, prune
from pydock_shared.errors import NotSupported, PydockError
from pydock_shared.filters import Filters

pytestmark = pytest.mark.root
LAYER = tar([entry("noise", random.Random(4).randbytes(300_000))])


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    """A registry with an image of one layer."""
    async with lying([LAYER]) as made:
        yield made


async def refused(shop: Shop, liar: Liar, message: str) -> None:
    """A pull that fails with a message, and leaves nothing."""
    with pytest.raises(PydockError, match=message):
        await shop.pull(f"{liar.host}/name:1")
    assert await shop.left() == []
    assert shop.images.count() == 0


async def test_it_is_an_honest_one_without_a_fault(shop: Shop, liar: Liar) -> None:
    image = await shop.pull(f"{liar.host}/name:1")
    assert image.size == 300_000
    assert len(liar.asked) == 3
    await shop.pull(f"{liar.host}/name:1")
    assert len(liar.asked) == 4


@pytest.mark.parametrize("faults", [["drop"], ["drop", "drop"], ["502", "drop"], ["no ranges", "no ranges"]])
async def test_a_dropped_connection_is_taken_up_again(shop: Shop, liar: Liar, faults: list[str]) -> None:
    liar.faults = list(faults)
    image = await shop.pull(f"{liar.host}/name:1")
    assert image.size == 300_000
    assert shop.said().count("Retrying in 1 second") == 1
    if faults == ["drop"]:
        assert liar.asked[-1].startswith(f"GET /v2/name/blobs/{digest(LAYER)} bytes=")


async def test_a_connection_that_always_drops(shop: Shop, liar: Liar) -> None:
    liar.faults = ["drop"] * 10
    await refused(shop, liar, f"blobs/{digest(LAYER)}.*unexpected end")
    assert shop.said()[-1] == "Retrying in 4 seconds"


async def test_other_bytes_than_the_digest_says(shop: Shop, liar: Liar) -> None:
    liar.faults = ["other bytes"]
    await refused(shop, liar, f"filesystem layer verification failed for digest {digest(LAYER)}")


async def test_more_bytes_than_the_manifest_says(shop: Shop, liar: Liar) -> None:
    liar.faults = ["more bytes"]
    await refused(shop, liar, f"layer {digest(LAYER)} is larger than the {len(LAYER)} bytes of its manifest")


async def test_fewer_bytes_than_the_manifest_says(shop: Shop, liar: Liar) -> None:
    liar.faults = ["fewer bytes"] * 5
    await refused(shop, liar, f"layer {digest(LAYER)}: unexpected end after")


async def test_a_layer_that_is_another_than_the_configuration_says(shop: Shop, liar: Liar) -> None:
    liar.config = config([tar([entry("other", b"1")])])
    liar.document = liar.manifest()
    await refused(shop, liar, f"failed to register layer {digest(LAYER)}: layer verification failed")


async def test_a_configuration_with_other_bytes(shop: Shop, liar: Liar) -> None:
    real = liar.config
    liar.config = real + b" "
    liar.document = liar.manifest(config={"digest": digest(real), "size": len(real)})
    liar.layers[digest(real)] = liar.config
    await refused(shop, liar, f"image config verification failed for digest {digest(real)}")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"nonsense", "name:1: malformed manifest"),
        (b"[]", "name:1: malformed manifest: needs a JSON object"),
        (b'{"schemaVersion": 2}', "malformed manifest: needs schemaVersion 2 and a list of layers"),
        (json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode(), "config has no usable digest"),
        (json.dumps({"schemaVersion": 2, "manifests": "x"}).encode(), "name:1: "),
    ],
)
async def test_manifests_that_are_none(shop: Shop, liar: Liar, document: bytes, message: str) -> None:
    liar.document = document
    with pytest.raises(PydockError) as caught:
        await shop.pull(f"{liar.host}/name:1")
    assert message in caught.value.message
    assert caught.value.status == 500
    assert await shop.left() == []


async def test_an_image_of_docker_one_is_refused_by_name(shop: Shop, liar: Liar) -> None:
    liar.document = json.dumps({"schemaVersion": 1, "name": "x", "fsLayers": []}).encode()
    with pytest.raises(NotSupported, match="schema 1 is not supported"):
        await shop.pull(f"{liar.host}/name:1")


async def test_a_digest_that_names_another_manifest(shop: Shop, liar: Liar) -> None:
    with pytest.raises(PydockError, match=f"manifest verification failed for digest {digest(b'x')}"):
        await shop.pull(f"{liar.host}/name@{digest(b'x')}")


async def test_an_index_that_contains_itself(shop: Shop, liar: Liar) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    liar.document = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "manifests": [{"digest": digest(b"x"), "size": 1}]}
    ).encode()
    with pytest.raises(PydockError, match="verification failed"):
        await shop.pull(f"{liar.host}/name:1")


async def test_a_token_is_fetched_once(shop: Shop, liar: Liar) -> None:
    liar.token = "secret"
    await shop.pull(f"{liar.host}/name:1", credentials=Credentials("me", "pw"))
    asked = "GET /token?service=liar,+inc&scope=repository:name:pull&account=me"
    assert [line for line in liar.asked if "/token" in line] == [asked]


async def test_a_token_server_that_is_down(shop: Shop, liar: Liar) -> None:
    liar.token, liar.faults = "secret", ["no token"]
    with pytest.raises(PydockError, match=r'Get "http://127.0.0.1:\d+/token": unauthorized: status 500'):
        await shop.pull(f"{liar.host}/name:1")


async def test_a_pull_that_is_given_up_leaves_nothing(shop: Shop, liar: Liar) -> None:
    liar.faults = ["502"] * 10
    shop.images.patience = 60
    retrying = shop.expect("Retrying in 1 second")
    task = asyncio.create_task(shop.pull(f"{liar.host}/name:1"))
    await asyncio.wait_for(retrying.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await shop.left() == []


def test_challenges_in_all_forms() -> None:
    assert challenges(['Bearer realm="https://a/b",service="x, y",scope="s\\"t"']) == [
        ("bearer", {"realm": "https://a/b", "service": "x, y", "scope": 's"t'})
    ]
    assert challenges(['Basic realm="r", Bearer realm=https://t , error=none', "Negotiate"]) == [
        ("basic", {"realm": "r"}),
        ("bearer", {"realm": "https://t", "error": "none"}),
        ("negotiate", {}),
    ]
    assert challenges(["", "  "]) == []


async def test_a_busy_registry_is_asked_again_when_it_says(shop: Shop, liar: Liar) -> None:
    liar.busy = "0 0"
    await shop.pull(f"{liar.host}/name:1")
    assert liar.asked[:3] == ["GET /v2/name/manifests/1"] * 3


@pytest.mark.parametrize("pauses", ["0 0 0", "3600"])
async def test_one_that_is_busy_for_long_is_told_of(shop: Shop, liar: Liar, pauses: str) -> None:
    liar.busy = pauses
    await refused(shop, liar, "received unexpected HTTP status: 429 Too Many Requests")


async def test_a_blob_elsewhere_comes_without_our_credentials(shop: Shop, liar: Liar) -> None:
    liar.token = "secret"
    async with lying([LAYER]) as store:
        liar.store = store.host.replace("127.0.0.1", "localhost")
        await shop.pull(f"{liar.host}/name:1")
        assert len(store.asked) == 2
        assert {authorization for authorization, _ in store.headers} == {""}


async def test_a_mirror_of_any_registry(liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "certs/far.example").mkdir(parents=True)
    (tmp_path / "certs/far.example/hosts.toml").write_text(
        f'[host."http://{liar.host}"]\n[host."http://{liar.host}".header]\nx-key = "open"\n'
    )
    mirrored = Shop(tmp_path / "shop", certificates=(tmp_path / "certs",))
    mirrored.root.mkdir()
    await mirrored.open()
    image = await mirrored.pull("far.example/name:1", credentials=Credentials("me", "secret"))
    assert image.repo_tags == ["far.example/name:1"]
    assert all(asked.endswith("?ns=far.example") for asked in liar.asked)
    assert set(liar.headers) == {("", "open")}
    await mirrored.close()


LARGE = tar([entry("much", random.Random(6).randbytes(4 << 20))])


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_pull_goes_on_where_an_earlier_one_ended(shop: Shop, reopened: bool) -> None:
    async with lying([LARGE]) as liar:
        liar.faults = ["drop"] * 5
        with pytest.raises(PydockError, match="unexpected end"):
            await shop.pull(f"{liar.host}/name:1")
        (partial,) = (shop.root / "content/ingest").glob("*.part")
        had = partial.stat().st_size
        assert 1 << 20 <= had < len(LARGE)
        if reopened:
            await shop.close()
            await shop.open()
        await shop.pull(f"{liar.host}/name:1")
        assert liar.asked[-1] == f"GET /v2/name/blobs/{digest(LARGE)} bytes={had}-"
        assert list((shop.root / "content/ingest").glob("*.part")) == []


async def test_what_an_earlier_pull_left_is_not_believed(shop: Shop) -> None:
    async with lying([LARGE]) as liar:
        partial = shop.root / "content/ingest" / f"{digest(LARGE)[7:]}.part"
        for size in (2 << 20, len(LARGE), len(LARGE) + 7):
            partial.write_bytes(bytes(size))
            await shop.pull(f"{liar.host}/name:1")
            delete(shop.images, f"{liar.host}/name:1", force=True)
        assert await shop.left() == []


async def test_what_nobody_goes_on_with_is_removed(shop: Shop) -> None:
    folder = shop.root / "content/ingest"
    for name in ("a.part", "b.part"):
        (folder / name).write_bytes(b"12345")
    os.utime(folder / "a.part", (0, 0))
    (folder / "tmpx").write_bytes(b"1")
    await shop.close()
    await shop.open()
    assert [path.name for path in folder.iterdir()] == ["b.part"]
    assert prune(shop.images, Filters({})).freed == 5
    assert list(folder.iterdir()) == []
