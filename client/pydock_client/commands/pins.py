"""`image pin` and `image unpin`: what automatic collection leaves alone. Extensions."""

from __future__ import annotations

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import STRING, Flag
from pydock_client.format import Listing, short
from pydock_shared.errors import PydockError

LISTING = Listing(
    "pinContext",
    ("Target", "ID"),
    {
        "Target": ("IMAGE", lambda item: item.data["Target"]),
        "ID": ("IMAGE ID", lambda item: short(item.data["Id"], truncate=item.truncate)),
    },
)


def _pin(call: Call) -> None:
    if call.arguments:
        _each(call, "pin")
    else:
        LISTING.show(call.daemon.call("GET", "/images/pins"), call.options["format"])


def _unpin(call: Call) -> None:
    _each(call, "unpin")


def _each(call: Call, verb: str) -> None:
    errors = []
    for name in call.arguments:
        try:
            call.daemon.call("POST", f"/images/{name}/{verb}")
            print(name)
        except PydockError as error:
            errors.append(error.message)
    if errors:
        raise Failure("\n".join(errors))


PIN = Command(
    _pin,
    "[OPTIONS] [IMAGE...]",
    arguments=(0, None),
    flags=(Flag("--format", STRING, "Format the list: 'json', 'table', or a Go template"),),
    about="Keep images from automatic collection (image-gc-high), or list what is kept.\n\n"
    "A pin of a name holds for whichever image has the name. Neither rmi nor prune heeds pins.",
)
UNPIN = Command(_unpin, "IMAGE [IMAGE...]", arguments=(1, None))
