"""`run` and `create`: a container from an image, pulled when it is missing; and for `run` its start and its streams."""

from __future__ import annotations

import os
import sys

from pydock_client import create
from pydock_client.command import Call, Command, Failure
from pydock_client.foreground import follow
from pydock_client.options import CREATE as CREATE_FLAGS
from pydock_client.options import RUN as RUN_FLAGS
from pydock_client.session import STDIN_FD, STDOUT_FD
from pydock_client.terminal import size
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotFound, PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PULLS = ("always", "missing", "never")
# What the error of a start that never reached the program says, and the exit code that shells give for it
_START_CODES = (
    ("executable file not found", 127),
    ("no such file or directory", 127),
    ("permission denied", 126),
    ("is a directory", 126),
)


def _create(call: Call) -> int | None:
    try:
        body = _body(call, detach=False)
    except (PydockError, OSError, ValueError) as error:
        raise _with_help(call, error) from error
    print(_make(call, body))
    return None


def _run(call: Call) -> int | None:
    detach = bool(call.options["detach"])
    try:
        body = _body(call, detach=detach)
    except (PydockError, OSError, ValueError) as error:
        raise _with_help(call, error) from error
    if body["AttachStdin"] and body.get("Tty") and not os.isatty(STDIN_FD):
        raise Failure("the input device is not a TTY")
    try:
        name = _make(call, body)
    except PydockError as error:
        raise _with_help(call, error) from error
    if detach:
        _start(call, name)
        print(name)
        return None
    return follow(
        call,
        f"/containers/{name}",
        tty=bool(body.get("Tty")),
        stdin=body["AttachStdin"],
        stdout=body["AttachStdout"],
        stderr=body["AttachStderr"],
        condition="removed" if call.options["rm"] else "next-exit",
        start=lambda: _start(call, name),
    )


def _with_help(call: Call, error: Exception, code: int = 125) -> Failure:
    message = f"open {error.filename}: {(error.strerror or '').lower()}" if isinstance(error, OSError) else str(error)
    return Failure(f"pydock: {message}\n\nRun 'pydock {call.words} --help' for more information", code)


def _body(call: Call, *, detach: bool) -> dict[str, Any]:
    options, (image, *command) = call.options, call.arguments
    if options["pull"] not in _PULLS:
        words = 'must be one of "always", "missing" or "never"'
        raise InvalidArgument(f"invalid pull option: '{options['pull']}': {words}")
    body = create.build(options, image, command, detach=detach)
    rows, columns = size(STDOUT_FD) if body.get("Tty") else (0, 0)
    if rows:
        body["HostConfig"]["ConsoleSize"] = [rows, columns]
    return body


def _make(call: Call, body: dict[str, Any]) -> str:
    """Create the container and return its id; a missing image is pulled first if that is wanted."""
    options, image = call.options, body["Image"]
    path = options["cidfile"]
    if path and os.path.exists(path):
        raise InvalidArgument(f"container ID file found, make sure the other container isn't running or delete {path}")
    if not _is_id(image):
        reference.parse(image)
    if options["pull"] == "always":
        _pull(call, image)
    query = {"name": options["name"], "platform": options["platform"]}
    try:
        created = call.daemon.call("POST", "/containers/create", query, body)
    except NotFound as error:
        if options["pull"] != "missing" or not any(words in error.message for words in _IMAGE_MISSING):
            raise
        if not options["quiet"]:
            print(f"Unable to find image '{reference.parse(image).familiar()}' locally", file=sys.stderr)
        _pull(call, image)
        created = call.daemon.call("POST", "/containers/create", query, body)
    for warning in created.get("Warnings") or ():
        print(f"WARNING: {warning}", file=sys.stderr)
    if path:
        with open(path, "x") as file:
            file.write(created["Id"])
    return str(created["Id"])


_IMAGE_MISSING = ("No such image", "no such image", "was found but does not")
"""What the daemon says of an image that is not here, or not for the platform."""


def _is_id(image: str) -> bool:
    """Say whether this can be an id, which is no reference (`sha256:...`, 64 digits)."""
    return len(image.removeprefix("sha256:")) == 64 and not image.removeprefix("sha256:").strip("0123456789abcdef")


def _pull(call: Call, image: str) -> None:
    from pydock_client.pulling import pull

    pull(call, image, platform=call.options["platform"], out=None if call.options["quiet"] else sys.stderr)


def _start(call: Call, name: str) -> None:
    try:
        call.daemon.call("POST", f"/containers/{name}/start")
    except PydockError as error:
        code = next((code for words, code in _START_CODES if words in error.message), 125)
        raise _with_help(call, error, code) from error


CREATE = Command(
    _create,
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    arguments=(1, None),
    flags=CREATE_FLAGS,
    interspersed=False,
)
RUN = Command(
    _run,
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    arguments=(1, None),
    flags=RUN_FLAGS,
    interspersed=False,
)
