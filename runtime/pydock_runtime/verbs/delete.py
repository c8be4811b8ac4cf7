"""`delete`: what is left of a container goes away."""

from __future__ import annotations

from pydock_runtime import container, state
from pydock_runtime.arguments import SWITCH, Call, Flag
from pydock_runtime.errors import INVALID, RuntimeFailure

ARGUMENTS = "ID"
SEALED = False
FLAGS = (Flag("force", SWITCH, "kill it first; no error when there is none", "f"),)


def run(call: Call) -> int:
    """Remove a container that has stopped or was never started; any with --force."""
    id = call.id()
    try:
        record = state.load(call.root, id)
    except RuntimeFailure:
        if call.has("force"):
            return 0
        raise
    now = container.status(record)
    if now not in (state.STOPPED, state.CREATED) and not call.has("force"):
        raise RuntimeFailure(f"cannot delete container {id} that is not stopped: {now}", INVALID)
    container.destroy(record)
    return 0
