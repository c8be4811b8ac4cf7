"""`system df`: what images, containers, volumes and build cache take on the disk."""

from __future__ import annotations

from pydock_client.command import Call, Command, Failure
from pydock_client.commands import images, ps, volumes
from pydock_client.commands.ps import FORMAT_HELP
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.format import Listing
from pydock_shared import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Usage = dict[str, "Any"]

LISTING = Listing(
    "diskUsageContext",
    ("Type", "TotalCount", "Active", "Size", "Reclaimable"),
    {
        "Type": ("TYPE", lambda item: item.data["type"]),
        "TotalCount": ("TOTAL", lambda item: str(item.data["count"])),
        "Active": ("ACTIVE", lambda item: str(item.data["active"])),
        "Size": ("SIZE", lambda item: _size(item.data["size"])),
        "Reclaimable": ("RECLAIMABLE", lambda item: _reclaimable(item.data["free"], item.data["size"])),
    },
)


def _size(count: int) -> str:
    return units.format_size(count, precision=4)


def _reclaimable(free: int, size: int) -> str:
    return f"{_size(free)} ({free * 100 // size}%)" if size else _size(free)


def _df(call: Call) -> None:
    options = call.options
    usage = _flat(call.daemon.call("GET", "/system/df", {"verbose": True}))
    if options["verbose"]:
        if options["format"] not in ("", "table"):
            raise Failure("the verbose and the format options conflict")
        _verbose(usage)
        return
    LISTING.show([_images(usage), _containers(usage), _volumes(usage), _cache(usage)], options["format"])


def _flat(usage: Usage) -> Usage:
    """Return an answer of API 1.52 and later in the form of those before: lists side by side."""
    if "ImageUsage" not in usage:
        return usage
    kinds = (("Images", "Image"), ("Containers", "Container"), ("Volumes", "Volume"), ("BuildCache", "BuildCache"))
    lists = {name: (usage.get(f"{kind}Usage") or {}).get("Items") or [] for name, kind in kinds}
    return {"LayersSize": usage["ImageUsage"].get("TotalSize", 0), **lists}


def _images(usage: Usage) -> Usage:
    found = usage.get("Images") or []
    whole = usage.get("LayersSize") or 0
    used = sum(image["Size"] - max(image.get("SharedSize", 0), 0) for image in found if image.get("Containers", 0) > 0)
    active = sum(1 for image in found if image.get("Containers", 0) > 0)
    return {"type": "Images", "count": len(found), "active": active, "size": whole, "free": max(whole - used, 0)}


def _containers(usage: Usage) -> Usage:
    found = usage.get("Containers") or []
    idle = [container for container in found if container.get("State") not in ("running", "paused", "restarting")]
    size, free = (sum(container.get("SizeRw") or 0 for container in group) for group in (found, idle))
    active = len(found) - len(idle)
    return {"type": "Containers", "count": len(found), "active": active, "size": size, "free": free}


def _volumes(usage: Usage) -> Usage:
    found = [(volume.get("UsageData") or {}) for volume in usage.get("Volumes") or ()]
    size = sum(max(entry.get("Size", 0), 0) for entry in found)
    free = sum(max(entry.get("Size", 0), 0) for entry in found if not entry.get("RefCount"))
    active = sum(1 for entry in found if entry.get("RefCount", 0) > 0)
    return {"type": "Local Volumes", "count": len(found), "active": active, "size": size, "free": free}


def _cache(usage: Usage) -> Usage:
    found = usage.get("BuildCache") or []
    size = sum(entry["Size"] for entry in found if not entry.get("Shared"))
    free = sum(entry["Size"] for entry in found if not entry.get("Shared") and not entry.get("InUse"))
    active = sum(1 for entry in found if entry.get("InUse"))
    return {"type": "Build Cache", "count": len(found), "active": active, "size": size, "free": free}


def _verbose(usage: Usage) -> None:
    print("Images space usage:\n")
    columns = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
    # One row for each image, with the first of its tags.
    found = [
        {**one, "RepoTags": (one.get("RepoTags") or [])[:1], "RepoDigests": []} for one in usage.get("Images") or ()
    ]
    images.LISTING.show(images.rows(found, digests=False), columns=columns)
    print("\nContainers space usage:\n")
    columns = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
    written = [{**container, "SizeRootFs": 0} for container in usage.get("Containers") or ()]
    ps.LISTING.show(written, columns=columns)
    print("\nLocal Volumes space usage:\n")
    volumes.LISTING.show(usage.get("Volumes") or [], columns=("Name", "Links", "Size"))
    cache = usage.get("BuildCache") or []
    print(f"\nBuild cache usage: {_size(sum(entry['Size'] for entry in cache if not entry.get('Shared')))}\n")
    CACHE_LISTING.show(cache)


CACHE_LISTING = Listing(
    "buildCacheContext",
    ("ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"),
    {
        "ID": ("CACHE ID", lambda item: item.data["ID"][:12] if item.truncate else item.data["ID"]),
        "CacheType": ("CACHE TYPE", lambda item: item.data.get("Type", "")),
        "Size": ("SIZE", lambda item: units.format_size(item.data["Size"])),
        "CreatedSince": ("CREATED", lambda item: images.since(item.data.get("CreatedAt"))),
        "LastUsedSince": ("LAST USED", lambda item: images.since(item.data.get("LastUsedAt"))),
        "UsageCount": ("USAGE", lambda item: str(item.data.get("UsageCount", 0))),
        "Shared": ("SHARED", lambda item: str(item.data.get("Shared", False)).lower()),
    },
)

DF = Command(
    _df,
    "[OPTIONS]",
    flags=(
        Flag("--format", STRING, FORMAT_HELP),
        Flag("-v --verbose", BOOL, "Show detailed information on space usage"),
    ),
)
