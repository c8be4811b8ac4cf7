"""The documents of a cache: there and back, BuildKit's own, and what is malformed."""

import json
from typing import Any

import pytest

from pydock_daemon.builder import cacheconfig
from pydock_daemon.builder.cacheconfig import CONFIG, Known
from pydock_daemon.images import manifest
from pydock_daemon.images.manifest import Descriptor
from pydock_shared.errors import InvalidArgument


def layer(letter: str) -> Descriptor:
    return Descriptor("sha256:" + letter * 64, 5, manifest.LAYER_KINDS["gzip"])


def step(key: str, letters: str) -> Known:
    return Known(key * 64, [layer(letter) for letter in letters], [layer(letter).digest for letter in letters], "RUN x")


STEPS = [step("1", "a"), step("2", "ab"), step("3", "ac"), step("4", "acb")]


def test_there_and_back() -> None:
    made = cacheconfig.documents(STEPS)
    assert list(cacheconfig.read(made.config).values()) == STEPS
    assert [one.digest[7] for one in made.layers] == ["a", "b", "c"]  # each once, whatever chains it is in
    assert cacheconfig.config_of(made.manifest) == Descriptor(
        manifest.digest_of(made.config), len(made.config), CONFIG
    )  # fmt: skip
    assert manifest.blobs_of(made.manifest)[1:] == made.layers


def test_a_cache_in_the_older_form() -> None:
    """An index that has the layers and the configuration for entries."""
    entries = [layer("a"), Descriptor("sha256:" + "d" * 64, 7, CONFIG)]
    told = [{"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in entries]
    document = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": told}
    assert cacheconfig.config_of(manifest.encode(document)) == entries[1]
    assert cacheconfig.config_of(manifest.make_manifest(layer("a"), [layer("b")])) is None


def test_what_is_left_out() -> None:
    """A layer without a digest, one that stands on none, and the steps that need them."""
    made = json.loads(cacheconfig.documents(STEPS).config)
    made["layers"][2]["blob"] = "sha256:short"
    made["layers"][1]["parent"] = 99
    found = cacheconfig.read(json.dumps(made).encode())
    assert [key[0] for key in found] == ["1"]
    assert cacheconfig.read(b'{"layers": [], "records": [{}, {"digest": "x"}]}') == {}


@pytest.mark.parametrize(
    "wrong", [b"", b"[]", b"{}", b'{"layers": 5, "records": []}', b'{"layers": [5], "records": []}']
)
def test_what_is_malformed(wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match="malformed cache configuration"):
        cacheconfig.read(wrong)
