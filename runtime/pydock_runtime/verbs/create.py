"""`create`: a container from a bundle, up to the gate before its program."""

from __future__ import annotations

from pydock_runtime import console, container, launch, state
from pydock_runtime.arguments import NUMBER, SWITCH, TEXT, Call, Flag

ARGUMENTS = "ID"
SEALED = True
FLAGS = (
    Flag("bundle", TEXT, "folder with config.json (default: here)", "b"),
    Flag("console-socket", TEXT, "socket that is sent the terminal's master"),
    Flag("pid-file", TEXT, "file to which init's pid is written"),
    Flag("preserve-fds", NUMBER, "descriptors from 3 on that the program gets"),
    Flag("no-new-keyring", SWITCH, "leave it the session keyring of the caller"),
    Flag("no-pivot", SWITCH, "move the root instead of pivoting to it: for a host in its initial memory file system"),
)


def make(call: Call) -> tuple[state.Record, launch.Child]:
    """Make the container that the command line asks for."""
    return container.create(
        call.root,
        call.id(),
        call.text("bundle") or ".",
        preserve=call.number("preserve-fds") or 0,
        keyring=not call.has("no-new-keyring"),
        pivot=not call.has("no-pivot"),
        systemd=call.systemd,
        rootless=call.rootless,
    )


def run(call: Call) -> int:
    """Make the container; it is left to whoever reaps our orphans."""
    console.check(call)
    record, child = make(call)
    try:
        console.hand_over(call, child, waits=False)
        container.write_pid_file(call.text("pid-file"), child.pid)
    except BaseException:
        container.destroy(record)
        raise
    return 0
