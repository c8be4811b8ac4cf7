"""`start`: containers that exist, in the background, or one of them with its streams on ours."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.foreground import follow
from pydock_client.options import DETACH_KEYS
from pydock_shared.errors import PydockError


def _start(call: Call) -> int | None:
    options, names = call.options, call.arguments
    if options["attach"] or options["interactive"]:
        if len(names) > 1:
            raise Failure("you cannot start and attach multiple containers at once")
        return _attached(call, names[0])
    query = {"checkpoint": options["checkpoint"], "checkpoint-dir": options["checkpoint-dir"]}
    if options["checkpoint"] and len(names) > 1:
        raise Failure("you cannot restore multiple containers at once")
    failed = []
    for name in names:
        try:
            call.daemon.call("POST", f"/containers/{name}/start", {**query})
        except PydockError as error:
            print(error.message, file=sys.stderr)
            failed.append(name)
        else:
            print(name)
    if failed:
        raise Failure(f"Error: failed to start containers: {', '.join(failed)}")
    return None


def _attached(call: Call, name: str) -> int | None:
    found = call.daemon.call("GET", f"/containers/{name}/json")
    config, path = found["Config"], f"/containers/{found['Id']}"
    return follow(
        call,
        path,
        tty=bool(config.get("Tty")),
        stdin=call.options["interactive"] and bool(config.get("OpenStdin")),
        condition="removed" if found["HostConfig"].get("AutoRemove") else "next-exit",
        start=lambda: call.daemon.call("POST", f"{path}/start"),
    )


START = Command(
    _start,
    "[OPTIONS] CONTAINER [CONTAINER...]",
    arguments=(1, None),
    flags=(
        Flag("-a --attach", BOOL, "Attach STDOUT/STDERR and forward signals"),
        Flag("--checkpoint", STRING, "Restore from this checkpoint"),
        Flag("--checkpoint-dir", STRING, "Use a custom checkpoint storage directory"),
        DETACH_KEYS,
        Flag("-i --interactive", BOOL, "Attach the container's STDIN"),
        Flag("--sig-proxy", BOOL, "Pass received signals on to the process", default=True, hidden=True),
    ),
)
