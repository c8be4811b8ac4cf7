"""`exec`: one more program in a running container, on our streams or in the background."""

from __future__ import annotations

import os

from pydock_client.command import Call, Command, Failure
from pydock_client.create import environment
from pydock_client.flags import BOOL, LIST, STRING, Flag
from pydock_client.options import DETACH_KEYS, ENV
from pydock_client.session import STDIN_FD, STDOUT_FD, Session, Target
from pydock_client.terminal import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _exec(call: Call) -> int | None:
    options, (container, *command) = call.options, call.arguments
    detach, tty = options["detach"], options["tty"]
    if options["interactive"] and tty and not detach and not os.isatty(STDIN_FD):
        raise Failure("the input device is not a TTY")
    keys = options["detach-keys"] or call.settings.config.get("detachKeys", "")
    body = _body(call, command, keys)
    created = call.daemon.call("POST", f"/containers/{container}/exec", None, body)
    path = f"/exec/{created['Id']}"
    start: dict[str, Any] = {"Detach": detach, "Tty": tty}
    if detach and options["kill-on-disconnect"]:
        raise Failure("conflicting options: cannot specify both --detach and --kill-on-disconnect", 125)
    if detach:
        call.daemon.call("POST", f"{path}/start", None, start)
        return None
    if options["kill-on-disconnect"]:
        start["KillOnDisconnect"] = True
    if "ConsoleSize" in body:
        start["ConsoleSize"] = body["ConsoleSize"]
    stream, early, _ = call.daemon.hijack(f"{path}/start", None, start).hijacked()
    target = Target(call.daemon, path)
    with Session(stream, early, target, tty=tty, stdin=options["interactive"], keys=keys) as session:
        session.resize()
        attached = session.move()
    if not attached:
        raise Failure("read escape sequence", 0)
    return int(call.daemon.call("GET", f"{path}/json")["ExitCode"] or 0)


def _body(call: Call, command: list[str], keys: str) -> dict[str, Any]:
    options = call.options
    attached = not options["detach"]
    body: dict[str, Any] = {
        "AttachStdin": attached and options["interactive"],
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Tty": options["tty"],
        "Cmd": command,
    }
    fields = {
        "User": options["user"],
        "WorkingDir": options["workdir"],
        "Privileged": options["privileged"],
        "Env": environment(options),
        "DetachKeys": keys,
        "ConsoleSize": _console(tty=options["tty"]),
    }
    return body | {name: value for name, value in fields.items() if value}


def _console(*, tty: bool) -> list[int]:
    rows, columns = size(STDOUT_FD) if tty else (0, 0)
    return [rows, columns] if rows else []


EXEC = Command(
    _exec,
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    arguments=(2, None),
    interspersed=False,
    flags=(
        Flag("-d --detach", BOOL, "Detached mode: run the command in the background"),
        DETACH_KEYS,
        Flag("-e --env", ENV, "Set environment variables"),
        Flag("--env-file", LIST, "Read environment variables from a file"),
        Flag("-i --interactive", BOOL, "Keep STDIN open even if not attached"),
        Flag("--kill-on-disconnect", BOOL, "Kill the command when this client goes before it (pydock only)"),
        Flag("--privileged", BOOL, "Give extended privileges to the command"),
        Flag("-t --tty", BOOL, "Allocate a pseudo-TTY"),
        Flag("-u --user", STRING, 'User name or UID (format: "<name|uid>[:<group|gid>]")'),
        Flag("-w --workdir", STRING, "Working directory inside the container"),
    ),
)
