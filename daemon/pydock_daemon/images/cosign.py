"""Signatures as cosign makes them with a key: their place in a registry, their form, their check. For `signatures`.

A signature of a manifest is a layer of another one: the payload ("simple signing", containers/image
docs/containers-signature.5.md) names the manifest's digest, and an annotation has the signature of the payload's bytes
(sigstore/cosign, specs/SIGNATURE_SPEC.md). That other manifest has the tag `sha256-<hex>.sig`, or refers to the
signed one (OCI distribution specification 1.1, "Listing Referrers").
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument, PydockError

from .manifest import is_digest
from .registry import Document, Refused, Repository
from .web import limited

if TYPE_CHECKING:
    # Loaded in the thread that checks, since most daemons never do.
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
LONGEST = 1 << 16
MOST = 32


class Signature(NamedTuple):
    """The signed bytes, and what somebody says is their signature."""

    payload: bytes
    signature: bytes

    def names(self, digest: str) -> bool:
        """Say whether the payload is about a manifest."""
        try:
            return bool(jsontext.parsed(self.payload)["critical"]["image"]["docker-manifest-digest"] == digest)
        except (ValueError, TypeError, KeyError):
            return False


class Key(NamedTuple):
    """A public key of a policy; `fingerprint` is the SHA-256 of its SubjectPublicKeyInfo."""

    path: Path
    fingerprint: str
    public: "PublicKeyTypes"


async def signatures(repository: Repository, digest: str) -> list[Signature]:
    """Return what a repository has for signatures of a manifest, from the tag or else from the referrers."""
    documents: list[Document] = []
    try:
        documents.append(await repository.manifest(f"{digest.replace(':', '-')}.sig"))
    except Refused as error:
        if error.answer != 404:
            raise
        documents += [await repository.manifest(one) for one in await _referrers(repository, digest)]
    places = [place for document in documents for place in _places(document.data)]
    return [Signature(await repository.document(one, size), signature) for one, size, signature in places[:MOST]]


async def _referrers(repository: Repository, digest: str) -> list[str]:
    """Return the digests of the manifests that refer to one as its signatures; none where a registry has no lists."""
    try:
        async with repository.request("GET", f"referrers/{digest}") as response:
            listed = jsontext.parsed(await limited(response))["manifests"]
        found = [one["digest"] for one in listed if one.get("artifactType") == ARTIFACT]
    except Refused as error:
        if error.answer in (400, 404, 405):
            return []
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PydockError(f"malformed list of referrers: {error!r}") from error
    return [one for one in found if isinstance(one, str) and is_digest(one)][:MOST]


def _places(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Yield digest and size of each payload of a manifest, with the signature."""
    try:
        layers: list[dict[str, Any]] = jsontext.parsed(data).get("layers") or []
        for layer in layers:
            text = (layer.get("annotations") or {}).get(ANNOTATION)
            digest, size = layer.get("digest"), layer.get("size")
            if layer.get("mediaType") != PAYLOAD or not text or not is_digest(str(digest)):
                continue
            if isinstance(size, int) and 0 < size <= LONGEST:
                yield str(digest), size, base64.b64decode(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"malformed manifest of signatures: {error}") from error


def load_key(path: Path) -> Key:
    """Return the public key of a PEM file: ECDSA, Ed25519 or RSA. PydockError when it is none; reads the disk."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PydockError(f"key {path} of the signature policy: {error}") from error
    if not isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise PydockError(f"key {path} of the signature policy: needs ECDSA, Ed25519 or RSA")
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key(path, f"sha256:{hashlib.sha256(public.public_bytes(*form)).hexdigest()}", public)


def signed_by(key: Key, signed: Signature) -> bool:
    """Say whether a signature is by a key. The hash is SHA-256 whatever the curve, as cosign has it."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    public, sha256 = key.public, hashes.SHA256()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signed.signature, signed.payload, ec.ECDSA(sha256))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signed.signature, signed.payload)
        elif isinstance(public, rsa.RSAPublicKey):
            public.verify(signed.signature, signed.payload, padding.PKCS1v15(), sha256)
        else:
            return False
    except InvalidSignature:
        return False
    return True
