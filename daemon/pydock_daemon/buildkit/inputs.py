"""Results as clients hand them on: what one build has made is the base of another (`docker buildx bake`).

A client knows a result by a definition in LLB, which it gives back as an input. Ours has one source, the image by its
id, and at its end an operation that only names the source, as ops.proto of BuildKit has it. Used by `jobs`; pure.
"""

import hashlib
from typing import Any

from google.protobuf.message import DecodeError

from pydock_shared.errors import NotSupported

from .messages import CLASSES, make

IMAGE = "docker-image://"


def definition(image: str) -> Any:
    """Return the definition of a result: the id of an image."""
    source = make("Op", source=make("Source", identifier=f"{IMAGE}{image}")).SerializeToString(deterministic=True)
    last = make("Op", inputs=[make("Input", digest=_digest(source))]).SerializeToString(deterministic=True)
    about = {_digest(op): make("Empty") for op in (source, last)}
    return make("Definition", metadata=about, **{"def": [source, last]})


def _digest(op: bytes) -> str:
    return f"sha256:{hashlib.sha256(op).hexdigest()}"


def image(given: Any) -> str:
    """Return the image that a definition names. NotSupported: it is not one of ours."""
    try:
        ops = [CLASSES["Op"].FromString(data) for data in getattr(given, "def")]
    except DecodeError:
        ops = []
    if len(ops) != 2 or not ops[0].source.identifier.startswith(f"{IMAGE}sha256:"):
        raise NotSupported("a build from LLB is not supported: only Dockerfiles are")
    return str(ops[0].source.identifier).removeprefix(IMAGE)
