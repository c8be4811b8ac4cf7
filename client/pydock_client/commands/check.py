"""`system check`, after podman's: whether what is on the disk is whole; and `system upgrade`. Both are extensions."""

from __future__ import annotations

from pydock_client.command import Call, Command
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.format import Listing
from pydock_shared import units

LISTING = Listing(
    "checkContext",
    ("Kind", "ID", "Problem", "State"),
    {
        "Kind": ("KIND", lambda item: item.data["Kind"]),
        "ID": ("ID", lambda item: _short(item.data["ID"])),
        "Problem": ("PROBLEM", lambda item: item.data["Problem"]),
        "State": ("STATE", lambda item: "repaired" if item.data["Repaired"] else item.data.get("Error") or "damaged"),
    },
)


def _short(identifier: str) -> str:
    plain = identifier.removeprefix("sha256:")
    return plain[:12] if len(plain) == 64 else plain


def _check(call: Call) -> int:
    options = call.options
    answer = call.daemon.call("POST", "/system/check", {"quick": options["quick"], "repair": options["repair"]})
    if answer["Problems"] or options["format"]:
        LISTING.show(answer["Problems"], options["format"])
    if not options["format"]:
        print(f"Checked {_counts(answer['Checked'])}: {_verdict(answer)}")
    return 0 if answer["Clean"] else 1


def _counts(checked: dict[str, int]) -> str:
    size = units.format_size(checked["BlobsSize"], precision=4)
    blobs = f"{checked['Blobs']} blobs ({size}{', read' if checked['Deep'] else ''})"
    named = {name.lower(): checked[name] for name in ("Images", "Layers", "Containers", "Volumes")}
    return ", ".join([blobs, *(f"{count} {name}" for name, count in named.items())])


def _verdict(answer: dict[str, object]) -> str:
    if not answer["Problems"]:
        return "clean"
    return "repaired" if answer["Clean"] else "damaged"


CHECK = Command(
    _check,
    "[OPTIONS]",
    flags=(
        Flag("-q --quick", BOOL, "Compare records with files only, without reading the content of images"),
        Flag("-r --repair", BOOL, "Set right what is wrong; images that have lost content are removed"),
        Flag("--format", STRING, "Format the output: 'json', 'table', or a Go template"),
    ),
    about="Check the images, layers, containers and volumes on the disk.\n\n"
    "The exit code is 0 when everything is whole or was repaired, 1 otherwise.",
)


def _upgrade(call: Call) -> int:
    answer = call.daemon.call("POST", "/system/upgrade")
    print(f"The supervisor (process {answer['Pid']}) goes on with release {answer['Release']}")
    return 0


UPGRADE = Command(
    _upgrade,
    "",
    about="Replace the program of the supervisor while containers run.\n\n"
    "pydockd does so by itself when it starts and finds a supervisor of another release.",
)
