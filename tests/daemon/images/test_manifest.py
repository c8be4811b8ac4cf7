"""Manifests and indexes are read with suspicion: whatever they say, the answer is a value or a refusal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.platforms import INDEX, MANIFEST

from pydock_daemon.images import manifest
from pydock_daemon.images.manifest import Descriptor, entries_of
from pydock_shared.errors import InvalidArgument, PydockError

DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"sha256:{number:064x}")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "schemaVersion",
    "mediaType",
    "manifests",
    "layers",
    "config",
    "digest",
    "size",
    "platform",
    "annotations",
    "rootfs",
)
ODD = st.recursive(
    JSON | DIGESTS | st.sampled_from([2, INDEX, MANIFEST]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=16,
)
DESCRIPTORS = st.tuples(
    DIGESTS, st.integers(0, 2**63), st.sampled_from(sorted(manifest.LAYER_KINDS.values())), st.just(())
).map(lambda values: Descriptor(*values))


@given(ODD | st.binary(max_size=40))
def test_whatever_comes_is_a_value_or_a_refusal(document: Any) -> None:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    for reading in (
        manifest.kind_of,
        manifest.entries_of,
        manifest.blobs_of,
        lambda some: manifest.parse_manifest(some, MANIFEST),
        lambda some: manifest.parse_config(some, 1),
    ):
        try:
            reading(data)
        except PydockError:
            continue


@given(DESCRIPTORS, st.lists(DESCRIPTORS, max_size=5))
def test_a_manifest_says_what_it_was_made_of(config: Descriptor, layers: list[Descriptor]) -> None:
    config = config._replace(media_type=manifest.OCI_CONFIG)
    data = manifest.make_manifest(config, layers)
    assert manifest.kind_of(data) == MANIFEST
    found = manifest.parse_manifest(data, MANIFEST)
    assert (found.config, list(found.layers)) == (config, layers)
    assert manifest.blobs_of(data) == [config, *layers]


@given(st.lists(DESCRIPTORS, max_size=5), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2))
def test_an_index_says_what_it_was_made_of(descriptors: list[Descriptor], annotations: dict[str, str]) -> None:
    shown: list[dict[str, Any]] = [
        {"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in descriptors
    ]
    for one in shown:
        one |= {"annotations": annotations} if annotations else {}
        one["platform"] = {"os": "linux", "architecture": "amd64", "os.version": "1"}
    data = json.dumps({"schemaVersion": 2, "manifests": shown}).encode()
    assert manifest.kind_of(data) == INDEX
    found = entries_of(data)
    assert [entry.shown for entry in found] == shown
    assert [entry.descriptor for entry in found] == descriptors
    assert manifest.blobs_of(data) == []


def test_the_annotations_of_an_entry_are_texts() -> None:
    digest = "sha256:" + "0" * 64
    odd: list[Any] = [{"digest": digest, "size": 1, "annotations": {"a": 1}, "platform": "linux"}]
    (found,) = entries_of(json.dumps({"manifests": odd}).encode())
    assert (found.annotations, found.platform) == ({"a": "1"}, None)
    with pytest.raises(InvalidArgument, match="at most 1000"):
        entries_of(json.dumps({"manifests": odd * 1001}).encode())
