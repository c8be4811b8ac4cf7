"""A container in the foreground: attached, started, followed to its end. Used by `run`, `start -a` and `attach`."""

from __future__ import annotations

import sys

from pydock_client.command import Failure
from pydock_client.session import Session, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pydock_client.command import Call
    from pydock_client.http import Response


def follow(
    call: Call,
    path: str,
    *,
    tty: bool,
    stdin: bool,
    stdout: bool = True,
    stderr: bool = True,
    condition: str = "",
    start: Callable[[], None] | None = None,
) -> int | None:
    """Return the exit code of a container whose streams were ours; None when the person has detached from it.

    `start` is called once the daemon has attached us, so that no output is lost, and waits for the exit on our behalf,
    so that this is not either; the heads of its answers say so.
    """
    options, daemon = call.options, call.daemon
    keys = options["detach-keys"] or call.settings.config.get("detachKeys", "")
    query = {"stream": True, "stdin": stdin, "stdout": stdout, "stderr": stderr, "detachKeys": keys}
    attaching = daemon.hijack(f"{path}/attach", query)
    waiting = daemon.begin("POST", f"{path}/wait", {"condition": condition})
    stream, early, _ = attaching.hijacked()
    target = Target(daemon, path)
    with Session(stream, early, target, tty=tty, stdin=stdin, keys=keys, proxy=options["sig-proxy"]) as session:
        answer = waiting.response()
        if start is not None:
            _started(start, answer if condition == "removed" else None)
        session.resize()
        attached = session.move()
    return _exit_code(answer) if attached else None


def _started(start: Callable[[], None], removal: Response | None) -> None:
    """Start; a container that cannot be started and removes itself is gone before we say so."""
    try:
        start()
    except Failure:
        if removal is not None:
            _exit_code(removal)
        raise


def _exit_code(answer: Response) -> int:
    found = answer.json()
    message = (found.get("Error") or {}).get("Message")
    if message:
        print(f"error waiting for container: {message}", file=sys.stderr)
        return 125
    return int(found["StatusCode"])
