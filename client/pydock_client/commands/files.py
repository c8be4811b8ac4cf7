"""What a container's file system gives: diff, export, commit."""

from __future__ import annotations

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, LIST, STRING, Flag
from pydock_shared import reference

from .archives import check_output, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_client.http import Query

_KINDS = {0: "C", 1: "A", 2: "D"}


def _diff(call: Call) -> None:
    (container,) = call.arguments
    for change in call.daemon.call("GET", f"/containers/{container}/changes") or ():
        print(_KINDS[change["Kind"]], change["Path"])


def _export(call: Call) -> None:
    (container,), path = call.arguments, call.options["output"]
    check_output(path, "export container")
    output(call.daemon.request("GET", f"/containers/{container}/export").pieces(), path)


def _commit(call: Call) -> None:
    options, container = call.options, call.arguments[0]
    if "pause" in options.given and "no-pause" in options.given:
        raise Failure("conflicting options: cannot specify both --no-pause and --pause")
    query: Query = {
        "container": container,
        "comment": options["message"],
        "author": options["author"],
        "changes": options["change"],
    }
    if options["no-pause"] or not options["pause"]:
        query["pause"] = "0"
    if len(call.arguments) > 1:
        name = reference.parse(call.arguments[1])
        query |= {"repo": name.name, "tag": name.tag}
    print(call.daemon.call("POST", "/commit", query)["Id"])


DIFF = Command(_diff, "CONTAINER", arguments=(1, 1))
EXPORT = Command(
    _export,
    "[OPTIONS] CONTAINER",
    arguments=(1, 1),
    flags=(Flag("-o --output", STRING, "Write to a file, instead of STDOUT"),),
)
COMMIT = Command(
    _commit,
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    arguments=(1, 2),
    flags=(
        Flag("-a --author", STRING, 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        Flag("-c --change", LIST, "Apply a Dockerfile instruction to the created image"),
        Flag("-m --message", STRING, "Commit message"),
        Flag("--no-pause", BOOL, "Do not pause the container during the commit"),
        Flag("-p --pause", BOOL, "Pause the container during the commit", default=True),
    ),
)
