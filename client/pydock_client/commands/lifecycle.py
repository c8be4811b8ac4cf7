"""Commands that do one thing to each of the containers named: stop, kill, restart, pause, rm, wait, update, rename."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.create import restart_policy
from pydock_client.flags import BOOL, INT, STRING, Flag
from pydock_client.options import UPDATE as UPDATE_FLAGS
from pydock_client.options import Field
from pydock_shared.errors import NotFound, PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pydock_client.http import Query

_AT_ONCE = 50
_EACH = "CONTAINER [CONTAINER...]"
_EACH_WITH_OPTIONS = f"[OPTIONS] {_EACH}"


def each(
    call: Call,
    method: str,
    path: str,
    query: Query | None = None,
    body: Any = None,
    *,
    show: Callable[[str, Any], str] | None = None,
    missing_is_fine: bool = False,
) -> None:
    """Send the request for every name at the same time, print each name that went well, and fail if one did not.

    `{}` in the path stands for the name; `show` says what is printed in place of the name, and
    with `missing_is_fine` a name that does not exist is told of and no failure.
    """
    failures: list[str] = []
    fatal = False
    for first in range(0, len(call.arguments), _AT_ONCE):
        names = call.arguments[first : first + _AT_ONCE]
        requests = [(name, call.daemon.begin(method, path.format(checked(name)), query, body)) for name in names]
        for name, request in requests:
            try:
                answer = request.response().json()
            except PydockError as error:
                failures.append(error.message)
                fatal = fatal or not (missing_is_fine and isinstance(error, NotFound))
            else:
                print(show(name, answer) if show else name)
    if failures:
        raise Failure("\n".join(failures), int(fatal))


def checked(name: str) -> str:
    """Return the name of a container for a path; Failure when it is empty."""
    found = name.strip("/ ")
    if not found:
        raise Failure("invalid container name or ID: value is empty")
    return found


def _stop(call: Call) -> None:
    _ending(call, "stop")


def _restart(call: Call) -> None:
    _ending(call, "restart")


def _ending(call: Call, verb: str) -> None:
    options = call.options
    given = {"timeout", "time"} & options.given
    if len(given) > 1:
        raise Failure("conflicting options: cannot specify both --timeout and --time")
    timeout = str(options[given.pop()]) if given else ""
    each(call, "POST", f"/containers/{{}}/{verb}", {"signal": options["signal"], "t": timeout})


def _kill(call: Call) -> None:
    path = "/exec/{}/kill" if call.options["exec"] else "/containers/{}/kill"
    each(call, "POST", path, {"signal": call.options["signal"]})


def _pause(call: Call) -> None:
    each(call, "POST", "/containers/{}/pause")


def _unpause(call: Call) -> None:
    each(call, "POST", "/containers/{}/unpause")


def _rm(call: Call) -> None:
    options = call.options
    query: Query = {"v": options["volumes"], "link": options["link"], "force": options["force"]}
    each(call, "DELETE", "/containers/{}", query, missing_is_fine=options["force"])


def _wait(call: Call) -> None:
    each(call, "POST", "/containers/{}/wait", show=lambda name, answer: str(answer["StatusCode"]))


def _update(call: Call) -> None:
    options = call.options
    if not options.given:
        raise Failure("you must provide one or more flags when using this command")
    body = {
        flag.path: options[flag.long] for flag in UPDATE_FLAGS if isinstance(flag, Field) and flag.long in options.given
    }
    if "restart" in options.given:
        body["RestartPolicy"] = restart_policy(options["restart"])
    warnings: list[str] = []

    def show(name: str, answer: Any) -> str:
        warnings.extend((answer or {}).get("Warnings") or ())
        return name

    each(call, "POST", "/containers/{}/update", None, body, show=show)
    if warnings:
        print("\n".join(warnings))


def _rename(call: Call) -> None:
    old, new = (name.strip() for name in call.arguments)
    if not old or not new:
        raise Failure("Error: Neither old nor new names may be empty")
    try:
        call.daemon.call("POST", f"/containers/{old}/rename", {"name": new})
    except PydockError as error:
        print(error.message, file=sys.stderr)
        raise Failure(f"Error: failed to rename container named {old}") from error


_ENDING_FLAGS = (
    Flag("-s --signal", STRING, "Signal to send to the container"),
    Flag("-t --timeout", INT, "Seconds to wait before killing the container"),
    Flag("--time", INT, "Seconds to wait before killing the container", hidden=True),
)
STOP = Command(_stop, _EACH_WITH_OPTIONS, arguments=(1, None), flags=_ENDING_FLAGS)
RESTART = Command(_restart, _EACH_WITH_OPTIONS, arguments=(1, None), flags=_ENDING_FLAGS)
KILL = Command(
    _kill,
    _EACH_WITH_OPTIONS,
    arguments=(1, None),
    flags=(
        Flag("--exec", BOOL, "The arguments are ids of execs, not containers (pydock only)"),
        Flag("-s --signal", STRING, "Signal to send to the container"),
    ),
)
PAUSE = Command(_pause, _EACH, arguments=(1, None))
UNPAUSE = Command(_unpause, _EACH, arguments=(1, None))
RM = Command(
    _rm,
    _EACH_WITH_OPTIONS,
    arguments=(1, None),
    flags=(
        Flag("-f --force", BOOL, "Force the removal of a running container (uses SIGKILL)"),
        Flag("-l --link", BOOL, "Remove the specified link"),
        Flag("-v --volumes", BOOL, "Remove anonymous volumes associated with the container"),
    ),
)
WAIT = Command(_wait, _EACH, arguments=(1, None))
UPDATE = Command(_update, _EACH_WITH_OPTIONS, arguments=(1, None), flags=UPDATE_FLAGS)
RENAME = Command(_rename, "CONTAINER NEW_NAME", arguments=(2, 2))
