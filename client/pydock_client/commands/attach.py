"""`attach`: our streams on a container that runs already."""

from __future__ import annotations

import os

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, Flag
from pydock_client.foreground import follow
from pydock_client.options import DETACH_KEYS, SIG_PROXY
from pydock_client.session import STDIN_FD


def _attach(call: Call) -> int | None:
    (container,) = call.arguments
    path = f"/containers/{container}"
    found = call.daemon.call("GET", f"{path}/json")
    for state, message in (
        ("Paused", "You cannot attach to a paused container, unpause it first"),
        ("Restarting", "You cannot attach to a restarting container, wait until it is running"),
    ):
        if found["State"].get(state):
            raise Failure(message)
    if not found["State"].get("Running"):
        raise Failure("You cannot attach to a stopped container, start it first")
    config = found["Config"]
    stdin = bool(config.get("OpenStdin")) and not call.options["no-stdin"]
    if stdin and config.get("Tty") and not os.isatty(STDIN_FD):
        raise Failure("the input device is not a TTY")
    code = follow(call, path, tty=bool(config.get("Tty")), stdin=stdin)
    if code is None:
        raise Failure("read escape sequence")
    return code


ATTACH = Command(
    _attach,
    "[OPTIONS] CONTAINER",
    arguments=(1, 1),
    flags=(
        DETACH_KEYS,
        Flag("--no-stdin", BOOL, "Do not attach STDIN"),
        SIG_PROXY,
    ),
)
