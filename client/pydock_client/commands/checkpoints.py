"""`checkpoint`: the state of a running container, kept on disk."""

from __future__ import annotations

from pydock_client.command import Call, Command
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.format import align

_FOLDER = Flag("--checkpoint-dir", STRING, "Use a custom checkpoint storage directory")


def _create(call: Call) -> None:
    options, (container, name) = call.options, call.arguments
    body = {
        "CheckpointID": name,
        "CheckpointDir": options["checkpoint-dir"],
        "Exit": not options["leave-running"],
    }
    call.daemon.call("POST", f"/containers/{container}/checkpoints", None, body)
    print(name)


def _ls(call: Call) -> None:
    (container,) = call.arguments
    query = {"dir": call.options["checkpoint-dir"]}
    found = call.daemon.call("GET", f"/containers/{container}/checkpoints", query) or []
    print(align([["CHECKPOINT NAME"], *([entry["Name"]] for entry in found)]), end="")


def _rm(call: Call) -> None:
    container, name = call.arguments
    query = {"dir": call.options["checkpoint-dir"]}
    call.daemon.call("DELETE", f"/containers/{container}/checkpoints/{name}", query)


CREATE = Command(
    _create,
    "[OPTIONS] CONTAINER CHECKPOINT",
    arguments=(2, 2),
    flags=(_FOLDER, Flag("--leave-running", BOOL, "Leave the container running after the checkpoint")),
)
LS = Command(_ls, "[OPTIONS] CONTAINER", arguments=(1, 1), flags=(_FOLDER,))
RM = Command(_rm, "[OPTIONS] CONTAINER CHECKPOINT", arguments=(2, 2), flags=(_FOLDER,))
