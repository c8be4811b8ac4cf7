"""config.json: read, and checked for what this runtime cannot do, so that nothing in it is silently left out.

Used by `launch` and the verbs. Source: OCI runtime-spec 1.3, config.md and config-linux.md.
"""

from __future__ import annotations

import json
import os

from pydock_runtime import hooks, shapes
from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = "1.3.0"
FILE = "config.json"

# Parts of the spec that are refused when they say anything.
UNSUPPORTED = ("vm",)
REQUIRED = ("ociVersion", "process", "root")


def load(bundle: str) -> dict[str, Any]:
    """Return the config.json of a bundle; RuntimeFailure when it is missing or not a spec."""
    path = os.path.join(bundle, FILE)
    try:
        with open(path, "rb") as file:
            spec = json.loads(file.read())
    except FileNotFoundError as error:
        raise RuntimeFailure(f"{FILE} not found in {bundle}", INVALID) from error
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise RuntimeFailure(f"{path}: {why}", INVALID) from error
    if not isinstance(spec, dict):
        raise RuntimeFailure(f"{path}: not an object", INVALID)
    for key in REQUIRED:
        if key not in spec:
            raise RuntimeFailure(f"{path}: {key} is missing", INVALID)
    try:
        shapes.check(spec, shapes.CONFIG, "")
    except RuntimeFailure as error:
        raise RuntimeFailure(f"{path}: {error.message}", INVALID) from error
    return spec


def check(spec: dict[str, Any]) -> None:
    """Raise RuntimeFailure for what is not there, not supported, or against the specification."""
    if not isinstance(spec.get("process"), dict):
        raise RuntimeFailure("process is missing in the spec", INVALID)
    for path in UNSUPPORTED:
        if _says_something(_at(spec, path.split("."))):
            raise RuntimeFailure(f"{path} is not supported", INVALID)
    hooks.check(spec)


def check_process(process: dict[str, Any]) -> None:
    """Raise RuntimeFailure for what is not supported of a process that is not in a spec (exec)."""
    check({"process": process})


def owns(spec: dict[str, Any], kind: str) -> bool:
    """Say whether the container has a new namespace of a kind, by its OCI name."""
    namespaces = spec.get("linux", {}).get("namespaces") or ()
    return any(namespace["type"] == kind and not namespace.get("path") for namespace in namespaces)


def _says_something(value: Any) -> bool:
    """Say whether there is anything in a part: many tools write empty objects and lists of what they do not use."""
    if isinstance(value, dict):
        return any(_says_something(part) for part in value.values())
    return bool(value)


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
