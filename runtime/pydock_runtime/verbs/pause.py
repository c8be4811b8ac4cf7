"""`pause`: every process of a container stands still."""

from __future__ import annotations

from pydock_runtime import container, state
from pydock_runtime.arguments import Call, Flag

ARGUMENTS = "ID"
SEALED = False
FLAGS: tuple[Flag, ...] = ()


def run(call: Call) -> int:
    """Do it; refused in any other state."""
    record = state.load(call.root, call.id())
    container.require(record, state.RUNNING, state.CREATED, otherwise=container.NOT_RUNNING)
    container.group(record).freeze()
    return 0
