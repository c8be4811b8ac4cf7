"""Images are pulled only with the signatures that the policy asks for, by keys made here."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.liar import MANIFEST, lying
from tests.fixtures.archives import digest, docker_archive, entry, tar
from tests.fixtures.registry import Registry
from tests.fixtures.signatures import KINDS, Signer, attach, payload

from pydock_daemon.images import cosign, inspect, signatures
from pydock_daemon.images.cosign import Signature
from pydock_daemon.values import SignatureRule
from pydock_shared import reference
from pydock_shared.errors import Forbidden, NotFound, PydockError

pytestmark = pytest.mark.root
KIND = "application/vnd.dev.cosign.artifact.sig.v1+json"
Open = Callable[..., AbstractAsyncContextManager[Shop]]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """Somebody whose signature counts."""
    return Signer(tmp_path)


@pytest.fixture
def under(tmp_path: Path) -> Open:
    """Opens an image store with a policy."""

    @asynccontextmanager
    async def opened(**policy: SignatureRule) -> AsyncIterator[Shop]:
        shop = Shop(tmp_path / "store", signatures={name.replace("ANY", "*"): rule for name, rule in policy.items()})
        shop.root.mkdir()
        await shop.open()
        yield shop
        await shop.close()

    return opened


def put(registry: Registry, tmp_path: Path, name: str) -> str:
    """Put an image into the registry and return its manifest's digest."""
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive([tar([entry("name", name.encode())])], ["x:1"]))
    registry.copy(f"docker-archive:{path}", f"{name}:1")
    return str(registry.inspect(f"{name}:1")["Digest"])


def sign(registry: Registry, name: str, about: str, by: Signer, **changes: Any) -> None:
    """Sign an image, or with changes something else."""
    data = payload(registry.name(name), changes.get("names", about))
    attach(registry, name, about, data, changes.get("signature") or by.sign(data), referrer=False)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_signed_image_is_pulled_and_says_by_whom(
    registry: Registry, tmp_path: Path, under: Open, kind: str
) -> None:
    name = f"signed/{kind}"
    by, about = Signer(tmp_path, kind), put(registry, tmp_path, name)
    sign(registry, name, about, by)
    async with under(ANY=SignatureRule("require", (by.public,))) as shop:
        image = await shop.pull(f"{registry.name(name)}:1")
        (shown,) = inspect.inspect(shop.images, image, (1, 55))["Signatures"]
        assert (shown["Repository"], shown["Digest"], shown["Key"]) == (registry.name(name), about, str(by.public))
        assert shown["Fingerprint"] == cosign.load_key(by.public).fingerprint
        await shop.close()
        await shop.open()
        assert inspect.inspect(shop.images, image, (1, 55))["Signatures"] == [shown]
        shop.images.names.remove(image.id)
        assert signatures.shown(shop.store, image.id) == []


BAD = {
    "unsigned": (None, "no signature of sha256:[0-9a-f]{64} was found"),
    "another-key": ("another key", "no signature of .* is by one of its keys"),
    "another-image": ({"names": digest(b"other")}, "its signatures are of something else"),
    "no-signature": ({"signature": b"nonsense"}, "no signature of .* is by one of its keys"),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_image_without_a_good_signature_is_refused_and_leaves_nothing(
    registry: Registry, tmp_path: Path, under: Open, signer: Signer, name: str
) -> None:
    how, message = BAD[name]
    about, other = put(registry, tmp_path, f"bad/{name}"), Signer(tmp_path, name="other")
    if how is not None:
        changes = how if isinstance(how, dict) else {}
        sign(registry, f"bad/{name}", about, signer if changes else other, **changes)
    full = registry.name(f"bad/{name}:1")
    async with under(ANY=SignatureRule("require", (signer.public,))) as shop:
        text = f"{full} is refused by the signature policy of \\*: {message}"
        with pytest.raises(Forbidden, match=text):
            await shop.pull(full)
        assert shop.records == []
        assert await shop.left() == []
        assert shop.images.count() == 0


async def test_a_warning_goes_with_the_pull(registry: Registry, tmp_path: Path, under: Open, signer: Signer) -> None:
    put(registry, tmp_path, "warned")
    full = registry.name("warned:1")
    async with under(ANY=SignatureRule("warn", (signer.public,))) as shop:
        image = await shop.pull(full)
        assert shop.said()[1].startswith(f"Warning: {full} is not signed as the policy of * wants it: no signature of")
        assert "Signatures" not in inspect.inspect(shop.images, image, (1, 55))


async def test_one_of_several_keys_is_enough(registry: Registry, tmp_path: Path, under: Open, signer: Signer) -> None:
    other = Signer(tmp_path, "rsa", "other")
    sign(registry, "several", put(registry, tmp_path, "several"), other)
    async with under(ANY=SignatureRule("require", (signer.public, other.public))) as shop:
        image = await shop.pull(registry.name("several:1"))
        assert [one["Key"] for one in signatures.shown(shop.store, image.id)] == [str(other.public)]


async def test_a_key_that_is_none(registry: Registry, tmp_path: Path, under: Open) -> None:
    put(registry, tmp_path, "keyless")
    broken = tmp_path / "broken.pub"
    broken.write_text("nonsense")
    async with under(ANY=SignatureRule("require", (broken,))) as shop:
        with pytest.raises(PydockError, match=f"key {broken} of the signature policy"):
            await shop.pull(registry.name("keyless:1"))


async def test_signatures_that_refer_to_an_image(under: Open, signer: Signer) -> None:
    async with lying([tar([entry("x", b"1")])]) as liar, under(ANY=SignatureRule("require", (signer.public,))) as shop:
        about = digest(liar.document)
        data = payload("anything", about)
        note = {cosign.ANNOTATION: base64.b64encode(signer.sign(data)).decode()}
        layer = {"mediaType": cosign.PAYLOAD, "digest": digest(data), "size": len(data), "annotations": note}
        signed = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]}).encode()
        listed = [{"digest": "sha256:no", "artifactType": "other"}, {"digest": digest(signed), "artifactType": KIND}]
        liar.layers[digest(data)] = data
        liar.others[f"referrers/{about}"] = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
        with pytest.raises(Forbidden, match="manifest verification failed"):
            await shop.pull(f"{liar.host}/name:1")
        liar.others[f"manifests/{digest(signed)}"] = signed
        image = await shop.pull(f"{liar.host}/name:1")
        assert [one["Digest"] for one in signatures.shown(shop.store, image.id)] == [about]
        liar.asked.clear()
        await shop.pull(f"{liar.host}/name:1")
        assert len(liar.asked) == 5
        liar.others[f"referrers/{about}"] = b"[]"
        with pytest.raises(Forbidden, match="malformed list of referrers"):
            await shop.pull(f"{liar.host}/name:1")


async def test_what_is_here_is_used_by_a_name_that_wants_signatures_only_if_signed(
    registry: Registry, tmp_path: Path, under: Open, signer: Signer
) -> None:
    about = put(registry, tmp_path, "ours/app")
    sign(registry, "ours/app", about, signer)
    put(registry, tmp_path, "theirs/app")
    ours, theirs = (registry.name(f"{name}/app:1") for name in ("ours", "theirs"))
    policy = {registry.name("ours"): SignatureRule("require", (signer.public,))}
    async with under(**policy, ANY=SignatureRule("off")) as shop:
        good, other = await shop.pull(ours), await shop.pull(theirs)
        fake = registry.name("ours/app:2")
        shop.images.tag(theirs, fake)
        shop.images.tag(ours, "elsewhere:1")
        for image, name in ((good, ours), (good, good.id), (good, "elsewhere:1"), (other, theirs), (other, other.id)):
            assert await shop.images.admit(image, name) == ""
        with pytest.raises(
            Forbidden, match=f"{fake} is refused by the signature policy of {registry.name('ours')}: no"
        ):
            await shop.images.admit(other, fake)
        shop.images.names.untag(reference.parse(theirs))
        for name in shop.images.resolve(fake).repo_digests:
            shop.images.names.untag(reference.parse(name))
        with pytest.raises(Forbidden, match=f"{fake} is refused"):
            await shop.images.admit(shop.images.resolve(fake), other.id)
        signatures.made_here(shop.store, other.id)
        assert await shop.images.admit(other, fake) == ""


async def test_what_was_loaded_is_used_with_a_warning_until_it_is_pulled(
    registry: Registry, tmp_path: Path, under: Open, signer: Signer
) -> None:
    about, full = put(registry, tmp_path, "later"), registry.name("later:1")
    data = (tmp_path / "image.tar").read_bytes()
    async with under(ANY=SignatureRule("warn", (signer.public,))) as shop:
        (image,) = await shop.load(data)
        for name, shown in (("x:1", "x:1"), (image.id, "x:1")):
            assert (await shop.images.admit(image, name)).startswith(
                f"{shown} is not signed as the policy of * wants it"
            )
        sign(registry, "later", about, signer)
        assert await shop.pull(full) == shop.images.get(image.id)
        assert await shop.images.admit(image, "x:1") == ""
        shop.images.names.remove(image.id)
        with pytest.raises(NotFound):
            await shop.images.admit(image, full)


async def test_a_key_that_is_not_trusted_any_more(
    registry: Registry, tmp_path: Path, under: Open, signer: Signer
) -> None:
    sign(registry, "old", put(registry, tmp_path, "old"), signer)
    async with under(ANY=SignatureRule("require", (signer.public,))) as shop:
        image = await shop.pull(registry.name("old:1"))
        signer.public.write_bytes(Signer(tmp_path, name="new").public.read_bytes())
        with pytest.raises(Forbidden, match="it is signed by none of its keys of today"):
            await shop.images.admit(image, registry.name("old:1"))
        signer.public.unlink()
        with pytest.raises(Forbidden, match=f"key {signer.public} of the signature policy"):
            await shop.images.admit(image, image.id)


async def test_a_policy_that_is_off_asks_nothing(under: Open) -> None:
    async with lying([tar([entry("x", b"1")])]) as liar, under() as shop:
        await shop.pull(f"{liar.host}/name:1")
        assert len(liar.asked) == 3


def test_the_longest_name_has_the_rule() -> None:
    rules = {
        name: SignatureRule("warn", (Path(name),)) for name in ("*", "reg:5000", "reg:5000/team", "reg:5000/team/x")
    }
    wanted = {
        "reg:5000/team/x:1": "reg:5000/team/x",
        "reg:5000/team/xy:1": "reg:5000/team",
        "reg:5000/teams:1": "reg:5000",
        "reg:5001/team/x:1": "*",
        "busybox": "*",
    }
    for text, name in wanted.items():
        assert signatures.rule_for(rules, reference.parse(text))[0] == name
    assert signatures.rule_for({}, reference.parse("busybox"))[1].mode == "off"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"critical": 1}', b'{"critical": {"image": []}}', b"[" * 9999])
def test_a_payload_that_is_none(data: bytes) -> None:
    assert not Signature(data, b"").names(digest(b""))
