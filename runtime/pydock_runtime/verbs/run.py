"""`run`: create, start and wait for a container, or with --detach leave it."""

from __future__ import annotations

from pydock_runtime import console, container
from pydock_runtime.arguments import SWITCH, Call, Flag
from pydock_runtime.verbs import create

ARGUMENTS = "ID"
SEALED = True
FLAGS = (
    *create.FLAGS,
    Flag("detach", SWITCH, "do not wait for its end", "d"),
    Flag("keep", SWITCH, "keep the state after its end"),
    Flag(
        "no-subreaper", SWITCH, "accepted for callers of runc: orphans of the container are not waited for in any case"
    ),
)


def run(call: Call) -> int:
    """Run the container; without --detach the result is its exit code."""
    console.check(call)
    record, child = create.make(call)
    try:
        console.hand_over(call, child, waits=not call.has("detach"))
        container.write_pid_file(call.text("pid-file"), child.pid)
        with console.attended(child):
            container.start(record)
            if call.has("detach"):
                return 0
            code = console.relay(child)
    except BaseException:
        container.destroy(record)
        raise
    if not call.has("keep"):
        container.destroy(record)
    return code
