"""Manifests, indexes and image configurations: read with suspicion, written canonically. Used by pull, load and save.

Formats: OCI image specification 1.1, and Docker's image manifest version 2, schema 2.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.times import parse_rfc3339

from .model import Platform

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
INDEXES, MANIFESTS = {OCI_INDEX, DOCKER_LIST}, {OCI_MANIFEST, DOCKER_MANIFEST}
CONFIGS = {OCI_CONFIG, DOCKER_CONFIG, "application/octet-stream", ""}
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
LAYER_KINDS = {
    "none": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
DEEPEST_INDEX = 4
MOST_LAYERS = 500
MOST_ENTRIES = 1000
ATTESTATION = "attestation-manifest"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Descriptor(NamedTuple):
    """What a document says about a blob: its digest, size and kind."""

    digest: str
    size: int
    media_type: str
    urls: tuple[str, ...] = ()


class Entry(NamedTuple):
    """An entry of an index: what it leads to, for which platform, and how it is shown to clients."""

    descriptor: Descriptor
    platform: Platform | None
    annotations: dict[str, str]
    shown: dict[str, Any]

    @property
    def subject(self) -> str:
        """Return the digest of the manifest that this one attests something of; nothing for other entries.

        Source: BuildKit's docs/attestations/attestation-storage.md.
        """
        if self.annotations.get("vnd.docker.reference.type") != ATTESTATION:
            return ""
        return self.annotations.get("vnd.docker.reference.digest", "")

    @property
    def attests(self) -> bool:
        """Say whether this is an attestation, which is no image."""
        return self.annotations.get("vnd.docker.reference.type") == ATTESTATION


class Manifest(NamedTuple):
    """An image manifest."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str


class Configuration(NamedTuple):
    """An image configuration and what is needed of it at once."""

    data: dict[str, Any]
    diff_ids: list[str]
    created: int


def digest_of(data: bytes) -> str:
    """Return the digest of a document."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def kind_of(data: bytes, content_type: str = "") -> str:
    """Return the media type of a manifest or index: what it says, what the server says, or what it looks like."""
    document = _document(data, "manifest")
    stated = str(document.get("mediaType") or content_type.partition(";")[0].strip())
    if document.get("schemaVersion") == 1 or stated.startswith(SCHEMA_1):
        raise NotSupported("Docker Image manifest version 2, schema 1 is not supported")
    if stated in INDEXES | MANIFESTS:
        return stated
    if isinstance(document.get("manifests"), list):
        return OCI_INDEX
    if "config" in document and isinstance(document.get("layers"), list):
        return OCI_MANIFEST
    raise InvalidArgument(f"manifest of unknown kind: {stated or 'no media type'}")


def parse_manifest(data: bytes, media_type: str) -> Manifest:
    """Return an image manifest; InvalidArgument when it is malformed or is not one of an image."""
    document = _document(data, "manifest")
    layers = document.get("layers")
    if document.get("schemaVersion") != 2 or not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        raise InvalidArgument("malformed manifest: needs schemaVersion 2 and a list of layers")
    config = _descriptor(document.get("config"), "config")
    if config.media_type not in CONFIGS:
        raise InvalidArgument(f"this is no container image: its configuration is {config.media_type}")
    return Manifest(config, tuple(_descriptor(layer, "layer") for layer in layers), media_type)


def entries_of(data: bytes) -> list[Entry]:
    """Return the entries of an index; InvalidArgument when it is malformed."""
    entries = _document(data, "index").get("manifests")
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise InvalidArgument(f"malformed index: needs a list of at most {MOST_ENTRIES} manifests")
    return [_entry(entry) for entry in entries]


def _entry(value: Any) -> Entry:
    descriptor = _descriptor(value, "manifest")
    stated, annotations = value.get("platform"), value.get("annotations")
    platform = None
    if isinstance(stated, dict):
        platform = Platform(*(str(stated.get(key) or "") for key in ("os", "architecture", "variant")))
    texts = {str(key): str(text) for key, text in annotations.items()} if isinstance(annotations, dict) else {}
    shown = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    shown |= ({"annotations": texts} if texts else {}) | ({"platform": stated} if platform else {})
    return Entry(descriptor, platform, texts, shown)


def blobs_of(data: bytes) -> list[Descriptor]:
    """Return what a manifest of whatever kind needs: configuration, layers, blobs; nothing if it cannot be read."""
    try:
        document = _document(data, "manifest")
        lists = [document.get(key) for key in ("layers", "blobs")]
        values = [document["config"]] if isinstance(document.get("config"), dict) else []
        values += [value for one in lists if isinstance(one, list) for value in one[:MOST_LAYERS]]
        return [_descriptor(value, "blob") for value in values]
    except InvalidArgument:
        return []


def parse_config(data: bytes, layers: int) -> Configuration:
    """Return an image configuration that must fit a number of layers; InvalidArgument when it does not."""
    document = _document(data, "image configuration")
    rootfs = document.get("rootfs")
    diff_ids = (rootfs.get("diff_ids") or []) if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(isinstance(item, str) and is_digest(item) for item in diff_ids):
        raise InvalidArgument("invalid rootfs in image configuration")
    if len(diff_ids) != layers:
        raise InvalidArgument(f"invalid image: {layers} layers, but its configuration has {len(diff_ids)}")
    for key, kind in (("config", dict), ("history", list)):
        if not isinstance(document.get(key), kind | None):
            raise InvalidArgument(f"invalid {key} in image configuration")
    return Configuration(document, diff_ids, _created(document))


def _created(document: dict[str, Any]) -> int:
    try:
        return parse_rfc3339(str(document.get("created") or ""))
    except InvalidArgument:
        return 0


def make_manifest(config: Descriptor, layers: list[Descriptor], annotations: Mapping[str, str] | None = None) -> bytes:
    """Return the OCI manifest of an image that came without one."""
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in layers],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
    )


def encode(document: Any) -> bytes:
    """Return a document as the JSON that we store."""
    return json.dumps(document, separators=(",", ":")).encode()


def is_digest(text: str) -> bool:
    """Say whether a text is a SHA-256 digest."""
    return bool(_DIGEST.fullmatch(text))


def _document(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = jsontext.parsed(data)
    except ValueError as error:
        raise InvalidArgument(f"malformed {what}: {error}") from error
    if not isinstance(document, dict):
        raise InvalidArgument(f"malformed {what}: needs a JSON object")
    return document


def _descriptor(value: Any, what: str) -> Descriptor:
    if not isinstance(value, dict):
        raise InvalidArgument(f"malformed manifest: a {what} is no object")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType") or ""
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidArgument(f"malformed manifest: {what} has no usable digest: {digest!r}")
    if not isinstance(size, int) or size < 0 or not isinstance(media_type, str):
        raise InvalidArgument(f"malformed manifest: {what} {digest} has no usable size or media type")
    urls = value.get("urls") or ()
    return Descriptor(digest, size, media_type, tuple(str(url) for url in urls if isinstance(urls, list)))
