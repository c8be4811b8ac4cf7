"""`start`: the program of a created container."""

from __future__ import annotations

from pydock_runtime import container, state
from pydock_runtime.arguments import Call, Flag

ARGUMENTS = "ID"
SEALED = False
FLAGS: tuple[Flag, ...] = ()


def run(call: Call) -> int:
    """Open the gate; the program runs when this returns."""
    container.start(state.load(call.root, call.id()))
    return 0
