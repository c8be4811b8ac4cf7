"""`ps`: the list of containers."""

from __future__ import annotations

from pydock_client.command import Call, Command
from pydock_client.flags import BOOL, FILTER, INT, STRING, Flag
from pydock_client.format import Item, Listing, ago, ellipsis, label, labels, local, quoted, short
from pydock_shared import filters, units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_client.http import Query

_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def _image(item: Item) -> str:
    image: str = item.data.get("Image") or "<no image>"
    if not item.truncate:
        return image
    cut = short(image, truncate=True)
    return cut if cut == short(item.data.get("ImageID", ""), truncate=True) else image.split("@", 1)[0]


def _command(item: Item) -> str:
    command: str = item.data.get("Command") or ""
    return quoted(ellipsis(command, 20) if item.truncate else command)


def _names(item: Item) -> str:
    """The container's name; with the names that links gave it unless the list is cut short."""
    names = [name.removeprefix("/") for name in item.data.get("Names") or ()]
    return ",".join(name for name in names if not item.truncate or "/" not in name)


def _size(item: Item) -> str:
    written, whole = item.data.get("SizeRw") or 0, item.data.get("SizeRootFs") or 0
    text = units.format_size(written)
    return f"{text} (virtual {units.format_size(whole)})" if whole else text


def _mounts(item: Item) -> str:
    names = [mount.get("Name") or mount.get("Source") or "" for mount in item.data.get("Mounts") or ()]
    return ",".join(ellipsis(name, 15) if item.truncate else name for name in names)


def _volumes(item: Item) -> str:
    return str(sum(1 for mount in item.data.get("Mounts") or () if mount.get("Driver") == "local"))


def _networks(item: Item) -> str:
    return ",".join((item.data.get("NetworkSettings") or {}).get("Networks") or {})


def ports(item: Item) -> str:
    """Return the ports of a container on one line, neighbours as ranges: `0.0.0.0:80-82->80-82/tcp, 90/udp`."""
    return format_ports(item.data.get("Ports") or [])


def format_ports(entries: list[dict[str, Any]]) -> str:
    """Return a list of ports of the API on one line."""
    done: list[str] = []
    open_ranges: dict[tuple[str, str], list[int]] = {}
    mapped: list[str] = []
    for entry in sorted(entries, key=_order):
        inner, outer, address = entry["PrivatePort"], entry.get("PublicPort", 0), entry.get("IP", "")
        if address and outer != inner:
            mapped.append(f"{_joined(address, str(outer))}->{inner}/{entry['Type']}")
            continue
        key = (address, entry["Type"])
        bounds = open_ranges.setdefault(key, [inner, inner])
        if inner == bounds[1] + 1:
            bounds[1] = inner
        elif inner != bounds[1]:
            done.append(_range(key, bounds))
            open_ranges[key] = [inner, inner]
    done += [_range(key, bounds) for key, bounds in open_ranges.items()]
    return ", ".join(done + mapped)


def _order(entry: dict[str, Any]) -> tuple[int, str, int, str]:
    return entry["PrivatePort"], entry.get("IP", ""), entry.get("PublicPort", 0), entry["Type"]


def _range(key: tuple[str, str], bounds: list[int]) -> str:
    address, kind = key
    text = str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]}-{bounds[1]}"
    return f"{_joined(address, text)}->{text}/{kind}" if address else f"{text}/{kind}"


def _joined(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


LISTING = Listing(
    "ContainerContext",
    _COLUMNS,
    {
        "ID": ("CONTAINER ID", lambda item: short(item.data["Id"], truncate=item.truncate)),
        "Image": ("IMAGE", _image),
        "Command": ("COMMAND", _command),
        "CreatedAt": ("CREATED AT", lambda item: local(item.data["Created"])),
        "RunningFor": ("CREATED", lambda item: ago(item.data["Created"])),
        "Status": ("STATUS", lambda item: item.data.get("Status") or ""),
        "State": ("STATE", lambda item: item.data.get("State") or ""),
        "Ports": ("PORTS", ports),
        "Names": ("NAMES", _names),
        "Size": ("SIZE", _size),
        "Labels": ("LABELS", labels),
        "Label": ("LABEL", label),
        "Mounts": ("MOUNTS", _mounts),
        "LocalVolumes": ("LOCAL VOLUMES", _volumes),
        "Networks": ("NETWORKS", _networks),
        "Platform": ("PLATFORM", lambda item: item.data.get("Platform")),
    },
)


def _ls(call: Call) -> None:
    options = call.options
    last = 1 if options["latest"] and options["last"] < 1 else options["last"]
    form = options["format"]
    size = options["size"] or ".Size" in form or "json ." in form
    query: Query = {"all": options["all"], "size": size, "limit": last if last > 0 else None}
    if options["filter"]:
        query["filters"] = filters.from_flags(options["filter"]).encode()
    containers = call.daemon.call("GET", "/containers/json", query)
    truncate = not options["no-trunc"]
    if options["quiet"] and form in ("", "table"):
        for container in containers:
            print(short(container["Id"], truncate=truncate))
        return
    if not form and not options["quiet"]:
        form = call.settings.config.get("psFormat", "")
    columns = (*_COLUMNS, "Size") if size else _COLUMNS
    LISTING.show(containers, form, truncate=truncate, columns=columns)


FORMAT_HELP = (
    "Format the output: 'table' (default), 'table TEMPLATE', 'json', or 'TEMPLATE', a Go template for each object"
)

LS = Command(
    _ls,
    "[OPTIONS]",
    flags=(
        Flag("-a --all", BOOL, "Show all containers (default shows just running)"),
        Flag("-f --filter", FILTER, "Filter output based on conditions provided"),
        Flag("--format", STRING, FORMAT_HELP),
        Flag("-n --last", INT, "Show n last created containers (includes all states)", default=-1),
        Flag("-l --latest", BOOL, "Show the latest created container (includes all states)"),
        Flag("--no-trunc", BOOL, "Don't truncate output"),
        Flag("-q --quiet", BOOL, "Only display container IDs"),
        Flag("-s --size", BOOL, "Display total file sizes"),
    ),
)
