"""The cache of builds as documents that leave this engine, in BuildKit's form. Used by `sharing`; pure.

A manifest has every layer once, and a configuration with two lists: `layers`, each with the number of the one below
it, and `records`, each the key of a step and the number of the layer that is on top after it. BuildKit reads it, and we
what it writes, although nobody's keys are another's. Sources: cache/remotecache of BuildKit (export.go, v1/spec.go).
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydock_daemon.images import manifest
from pydock_daemon.images.manifest import Descriptor
from pydock_shared.errors import InvalidArgument

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
MOST = 10_000
"""Records and layers that are read."""


class Known(NamedTuple):
    """A step: its key, the layers after it and what they are unpacked, what the history says of it."""

    key: str
    layers: list[Descriptor]
    diff_ids: list[str]
    text: str


class Documents(NamedTuple):
    """A cache as its manifest, its configuration, and the layers that the manifest names."""

    manifest: bytes
    config: bytes
    layers: list[Descriptor]


def documents(steps: Iterable[Known]) -> Documents:
    """Return the documents of steps."""
    numbers: dict[tuple[str, ...], int] = {}
    layers: list[dict[str, Any]] = []
    found: dict[str, Descriptor] = {}
    records = []
    for step in steps:
        above = -1
        for count, (layer, diff_id) in enumerate(zip(step.layers, step.diff_ids, strict=True), 1):
            chain = tuple(step.diff_ids[:count])
            if chain not in numbers:
                about = {"mediaType": layer.media_type, "diffID": diff_id, "size": layer.size}
                layers.append({"blob": layer.digest, "parent": above, "annotations": about})
                numbers[chain] = len(layers) - 1
            found.setdefault(layer.digest, layer)
            above = numbers[chain]
        records.append({"layers": [{"layer": above}], "digest": f"sha256:{step.key}", "description": step.text})
    config = manifest.encode({"layers": layers, "records": records})
    named = {layer["blob"]: layer["annotations"]["diffID"] for layer in layers}
    document = manifest.encode({
        "schemaVersion": 2,
        "mediaType": manifest.OCI_MANIFEST,
        "config": {"mediaType": CONFIG, "digest": manifest.digest_of(config), "size": len(config)},
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size,
             "annotations": {"containerd.io/uncompressed": named[layer.digest]}}
            for layer in found.values()
        ],
    })  # fmt: skip
    return Documents(document, config, list(found.values()))


def config_of(document: bytes) -> Descriptor | None:
    """Return where the configuration of a cache is, None when a manifest or an index is none of a cache."""
    if manifest.kind_of(document) in manifest.INDEXES:  # the older form: layers and configuration as entries
        found = [entry.descriptor for entry in manifest.entries_of(document)]
    else:
        found = manifest.blobs_of(document)[:1]
    return next((one for one in found if one.media_type == CONFIG), None)


def read(config: bytes) -> dict[str, Known]:
    """Return the steps of a configuration by their keys, nothing of what is malformed: it comes from anywhere."""
    try:
        document = json.loads(config)
        layers, records = document["layers"][:MOST], document["records"][:MOST]
        chains = _chains(layers)
        found = {}
        for record in records:
            key = str(record.get("digest", "")).removeprefix("sha256:")
            numbers = [result["layer"] for result in record.get("layers") or () if result["layer"] in chains]
            if len(key) == 64 and numbers:
                chain = chains[numbers[0]]
                text = str(record.get("description", ""))[:1000]
                found[key] = Known(key, [layer for layer, _ in chain], [diff_id for _, diff_id in chain], text)
        return found
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidArgument(f"malformed cache configuration: {error}") from error


Chain = tuple[tuple[Descriptor, str], ...]


def _chains(layers: list[Any]) -> dict[int, Chain]:
    """Return the chain that ends with each layer; a layer stands after the one below it, as both of us write them."""
    chains: dict[int, Chain] = {}
    for number, layer in enumerate(layers):
        about, above = layer.get("annotations") or {}, layer.get("parent", -1)
        digest, diff_id, size = layer["blob"], about.get("diffID"), about.get("size")
        below = () if above == -1 else chains.get(above)
        if not (manifest.is_digest(str(digest)) and manifest.is_digest(str(diff_id)) and isinstance(size, int)):
            continue
        if below is not None and len(below) < manifest.MOST_LAYERS:
            chains[number] = (*below, (Descriptor(digest, size, str(about.get("mediaType", ""))), str(diff_id)))
    return chains
