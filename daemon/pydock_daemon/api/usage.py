"""`GET /system/df`: what images, containers, volumes and the build cache take on the disk."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pydock_daemon.builder import prune
from pydock_daemon.containers import inspect as views
from pydock_daemon.containers import sizes
from pydock_daemon.images import listing
from pydock_daemon.volumes.service import wire
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters
from pydock_shared.times import rfc3339

from .routing import Call, json_response
from .shapes import LISTED_CONTAINER, listed_images, shaped

NESTED, FLAT_UNTIL = (1, 52), (1, 52)
"""API versions: the first with one object a kind, and the last with Docker's lists side by side."""
RUNNING = ("running", "paused", "restarting")

Items = list[dict[str, Any]]


async def disk_usage(call: Call) -> web.StreamResponse:
    """GET /system/df: of all kinds, or of those that `type` names (repeated)."""
    asked = call.request.rel_url.query.getall("type", [])
    for kind in asked:
        if kind not in KINDS:
            raise InvalidArgument(f"unknown object type: {kind}")
    verbose = call.flag("verbose")
    shown: dict[str, Any] = {}
    for kind, (collect, flat, nested, in_use) in KINDS.items():
        if asked and kind not in asked:
            continue
        items, size = await collect(call)
        if call.version <= FLAT_UNTIL and not (verbose and call.version >= NESTED):
            shown |= ({"LayersSize": size} if kind == "image" else {}) | {flat: items}
        if call.version >= NESTED:
            shown[nested] = _nested(items, size, in_use) | ({"Items": items} if verbose and items else {})
    return json_response(shown)


def _nested(items: Items, size: int, in_use: Callable[[dict[str, Any]], bool]) -> dict[str, int]:
    active = [item for item in items if in_use(item)]
    kept = sum(_own_size(item) for item in active)
    return {
        "ActiveCount": len(active),
        "TotalCount": len(items),
        "Reclaimable": max(size - kept, 0),
        "TotalSize": size,
    }


def _own_size(item: dict[str, Any]) -> int:
    """Return the bytes that are of an item alone."""
    if "SharedSize" in item:
        return int(item["Size"] - max(item["SharedSize"], 0))
    return int(item.get("SizeRw", 0) or max((item.get("UsageData") or {}).get("Size", 0), 0))


async def _images(call: Call) -> tuple[Items, int]:
    engine = call.engine
    found = listed_images(listing.listing(engine.images, Filters({}), shared_size=True, users=True), call.version)
    layers = (engine.snapshots.layer(chain) for chain in {chain for image in engine.images for chain in image.chain})
    return found, sum(layer.size for layer in layers if layer)


async def _containers(call: Call) -> tuple[Items, int]:
    engine = call.engine
    chosen = list(engine.containers)
    written = await sizes.of_containers(engine.containers, chosen)
    found = [
        shaped(views.summary(engine.containers, container), LISTED_CONTAINER, call.version)
        | views.sizes(engine.containers, container, size)
        for container, size in zip(chosen, written, strict=True)
    ]
    return found, sum(written)


async def _volumes(call: Call) -> tuple[Items, int]:
    engine = call.engine
    # What is shown by one with options is not ours alone; dockerd leaves it out as well.
    chosen = [volume for volume in engine.volumes.listed(Filters({}), set()) if not volume.options]
    measured = await sizes.of_volumes(engine.containers, [volume.name for volume in chosen])
    users = engine.containers.users_of_volumes()
    found = [
        wire(volume, engine.volumes.mountpoint(volume.name))
        | {"UsageData": {"Size": size, "RefCount": len(users.get(volume.name, ()))}}
        for volume, size in zip(chosen, measured, strict=True)
    ]
    return found, sum(measured)


async def _build_cache(call: Call) -> tuple[Items, int]:
    found = []
    for entry in await prune.entries(call.engine.containers, call.engine.build_cache):
        times = {name: rfc3339(entry[name]) for name in ("CreatedAt", "LastUsedAt")}
        found.append(
            {name: value for name, value in entry.items() if name not in ("Image", "Volume", "Context")} | times
        )
    return found, sum(entry["Size"] for entry in found if not entry["Shared"])


KINDS: dict[str, tuple[Callable[[Call], Awaitable[tuple[Items, int]]], str, str, Callable[[dict[str, Any]], bool]]] = {
    "image": (_images, "Images", "ImageUsage", lambda item: item["Containers"] > 0),
    "container": (_containers, "Containers", "ContainerUsage", lambda item: item["State"] in RUNNING),
    "volume": (_volumes, "Volumes", "VolumeUsage", lambda item: item["UsageData"]["RefCount"] > 0),
    "build-cache": (_build_cache, "BuildCache", "BuildCacheUsage", lambda item: item["InUse"]),
}
ROUTES = (("GET", "/system/df", disk_usage),)
