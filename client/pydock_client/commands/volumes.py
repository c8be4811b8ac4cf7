"""Commands on volumes: ls, create, rm."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, BYTES, FILTER, LIST, MAP, STRING, Flag
from pydock_client.format import Item, Listing, label, labels
from pydock_client.options import LABEL
from pydock_client.values import pairs
from pydock_shared import filters, units
from pydock_shared.errors import NotSupported, PydockError

from .ps import FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_client.http import Query


def _size(item: Item) -> str:
    usage = item.data.get("UsageData")
    return units.format_size(usage["Size"]) if usage and usage["Size"] >= 0 else "N/A"


LISTING = Listing(
    "volumeContext",
    ("Driver", "Name"),
    {
        "Name": ("VOLUME NAME", lambda item: item.data["Name"]),
        "Driver": ("DRIVER", lambda item: item.data["Driver"]),
        "Scope": ("SCOPE", lambda item: item.data["Scope"]),
        "Mountpoint": ("MOUNTPOINT", lambda item: item.data["Mountpoint"]),
        "Labels": ("LABELS", labels),
        "Label": ("LABEL", label),
        "Links": (
            "LINKS",
            lambda item: str(item.data["UsageData"]["RefCount"]) if item.data.get("UsageData") else "N/A",
        ),
        "Size": ("SIZE", _size),
        "Group": ("GROUP", lambda item: "N/A"),
        "Availability": ("AVAILABILITY", lambda item: "N/A"),
        "Status": ("STATUS", lambda item: "N/A"),
    },
)


def _ls(call: Call) -> None:
    options = call.options
    wanted = filters.from_flags(options["filter"])
    answer = call.daemon.call("GET", "/volumes", {"filters": wanted.encode() if wanted else ""})
    found = sorted(answer.get("Volumes") or [], key=lambda volume: volume["Name"])
    for warning in answer.get("Warnings") or ():
        print(f"WARNING: {warning}", file=sys.stderr)
    if options["cluster"]:
        found = [volume for volume in found if volume.get("ClusterVolume")]
    if options["quiet"] and options["format"] in ("", "table"):
        for volume in found:
            print(volume["Name"])
        return
    form = options["format"] or ("" if options["quiet"] else call.settings.config.get("volumesFormat", ""))
    LISTING.show(found, form)


def _create(call: Call) -> None:
    options = call.options
    if call.arguments and "name" in options.given:
        raise Failure("conflicting options: cannot specify a volume-name through both --name and as a positional arg")
    name = call.arguments[0] if call.arguments else options["name"]
    body = {"Driver": options["driver"]}
    fields = {"Name": name, "DriverOpts": pairs(options["opt"]), "Labels": pairs(options["label"])}
    created = call.daemon.call("POST", "/volumes/create", None, body | {key: v for key, v in fields.items() if v})
    print(created["Name"])


def _rm(call: Call) -> None:
    query: Query = {"force": call.options["force"]}
    failures = []
    for name in call.arguments:
        try:
            call.daemon.call("DELETE", f"/volumes/{name}", query)
        except PydockError as error:
            failures.append(error.message)
        else:
            print(name)
    if failures:
        raise Failure("\n".join(failures))


def _update(call: Call) -> None:
    raise NotSupported("volume update is not supported: it is for cluster volumes only")


_CLUSTER = "(Swarm only)"

LS = Command(
    _ls,
    "[OPTIONS]",
    flags=(
        Flag("--cluster", BOOL, f"Display only cluster volumes {_CLUSTER}"),
        Flag("-f --filter", FILTER, 'Provide filter values (e.g. "dangling=true")'),
        Flag("--format", STRING, FORMAT_HELP),
        Flag("-q --quiet", BOOL, "Only display volume names"),
    ),
)
CREATE = Command(
    _create,
    "[OPTIONS] [VOLUME]",
    arguments=(0, 1),
    flags=(
        Flag("--availability", STRING, f"Availability of the volume {_CLUSTER}", default="active", unsupported=True),
        Flag("-d --driver", STRING, "Driver of the volume", default="local"),
        Flag("--group", STRING, f"Group of the volume {_CLUSTER}", unsupported=True),
        Flag("--label", LABEL, "Set metadata of the volume"),
        Flag("--limit-bytes", BYTES, f"Largest size of the volume {_CLUSTER}", unsupported=True),
        Flag("--name", STRING, "Name of the volume", hidden=True),
        Flag("-o --opt", MAP, "Options of the driver"),
        Flag("--required-bytes", BYTES, f"Smallest size of the volume {_CLUSTER}", unsupported=True),
        Flag("--scope", STRING, f"Who may use the volume {_CLUSTER}", default="single", unsupported=True),
        Flag("--secret", MAP, f"Secrets of the volume {_CLUSTER}", unsupported=True),
        Flag("--sharing", STRING, f"Sharing of the volume {_CLUSTER}", default="none", unsupported=True),
        Flag("--topology-preferred", LIST, f"Where the volume is best {_CLUSTER}", unsupported=True),
        Flag("--topology-required", LIST, f"Where the volume must be {_CLUSTER}", unsupported=True),
        Flag("--type", STRING, f"How the volume is reached {_CLUSTER}", default="block", unsupported=True),
    ),
)
UPDATE = Command(
    _update,
    "[OPTIONS] [VOLUME]",
    arguments=(0, 1),
    flags=(Flag("--availability", STRING, f"Availability of the volume {_CLUSTER}", default="active"),),
)
RM = Command(
    _rm,
    "[OPTIONS] VOLUME [VOLUME...]",
    arguments=(1, None),
    flags=(Flag("-f --force", BOOL, "Force the removal of volumes"),),
)
