"""`attach`: our streams on a container that runs already."""

from __future__ import annotations

import os

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, Flag
from pydock_client.options import DETACH_KEYS, SIG_PROXY
from pydock_client.session import STDIN_FD, Session, Target


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
    return follow(call, path, tty=bool(config.get("Tty")), stdin=stdin)


def follow(call: Call, path: str, *, tty: bool, stdin: bool) -> int | None:
    """Attach, and return the exit code of the container once its output has ended."""
    options, daemon = call.options, call.daemon
    keys = options["detach-keys"] or call.settings.config.get("detachKeys", "")
    query = {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": keys}
    waiting = daemon.begin("POST", f"{path}/wait")
    stream, early, _ = daemon.hijack(f"{path}/attach", {**query}).hijacked()
    target = Target(daemon, path)
    with Session(stream, early, target, tty=tty, stdin=stdin, keys=keys, proxy=options["sig-proxy"]) as session:
        session.resize()
        attached = session.move()
    if not attached:
        raise Failure("read escape sequence")
    return int(waiting.response().json()["StatusCode"])


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
