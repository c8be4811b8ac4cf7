"""`state`: a container's state as the runtime-spec wants it (runtime.md, "State")."""

from __future__ import annotations

import json
import os

from pydock_runtime import container, state
from pydock_runtime import spec as specs
from pydock_runtime.arguments import Call, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ARGUMENTS = "ID"
SEALED = False
FLAGS: tuple[Flag, ...] = ()


def run(call: Call) -> int:
    """Print the state."""
    print(json.dumps(describe(state.load(call.root, call.id())), indent=2))
    return 0


def describe(record: state.Record) -> dict[str, Any]:
    """Return the state of a container."""
    now = container.status(record)
    annotations = record.spec.get("annotations")
    return {
        "ociVersion": record.spec.get("ociVersion", specs.VERSION),
        "id": record.id,
        "pid": record.pid if now != state.STOPPED else 0,
        "status": now,
        "bundle": record.bundle,
        "rootfs": os.path.join(record.bundle, record.spec["root"].get("path") or "rootfs"),
        "created": record.created,
        **({"annotations": annotations} if annotations else {}),
        "owner": "",
    }
