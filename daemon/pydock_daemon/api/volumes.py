"""/volumes: named and anonymous volumes."""

from aiohttp import web

from pydock_daemon.containers import sizes
from pydock_daemon.volumes.service import wire
from pydock_shared.errors import NotSupported
from pydock_shared.wire.volume import VolumeCreate

from .routing import Call, empty, json_response

SINCE_ANONYMOUS = (1, 42)


def _used(call: Call) -> set[str]:
    return {mount.name for container in call.engine.containers for mount in container.mounts if mount.name}


async def list_volumes(call: Call) -> web.StreamResponse:
    """GET /volumes."""
    volumes = call.engine.volumes
    found = [wire(volume, volumes.mountpoint(volume.name)) for volume in volumes.listed(call.filters(), _used(call))]
    return json_response({"Volumes": found, "Warnings": None})


async def create_volume(call: Call) -> web.StreamResponse:
    """POST /volumes/create."""
    body = await call.body(VolumeCreate)
    if body.cluster_volume_spec:
        raise NotSupported("ClusterVolumeSpec is not supported")
    volumes = call.engine.volumes
    volume = volumes.create(body.name or None, body.driver or "local", body.driver_opts or {}, body.labels or {})
    return json_response(wire(volume, volumes.mountpoint(volume.name)), 201)


async def inspect_volume(call: Call) -> web.StreamResponse:
    """GET /volumes/{name}."""
    volumes = call.engine.volumes
    volume = volumes.get(call.params["name"])
    return json_response(wire(volume, volumes.mountpoint(volume.name)))


async def remove_volume(call: Call) -> web.StreamResponse:
    """DELETE /volumes/{name}."""
    name = call.params["name"]
    users = [container.id for container in call.engine.containers.users_of_volume(name)]
    call.engine.volumes.remove(name, force=call.flag("force"), in_use=users)
    await call.engine.volumes.settled()
    return empty()


async def prune_volumes(call: Call) -> web.StreamResponse:
    """POST /volumes/prune."""
    volumes, filters = call.engine.volumes, call.filters()
    removed, space = [], 0
    # Before 1.42 named volumes were pruned as well.
    every = filters.flag("all") or (call.version < SINCE_ANONYMOUS and "all" not in filters)
    for volume in volumes.prunable(filters, _used(call), every=bool(every)):
        (size,) = await sizes.of_volumes(call.engine.containers, [volume.name])
        if not volumes.exists(volume.name) or volume.name in _used(call):
            continue  # removed, or come into use meanwhile
        space += size
        volumes.remove(volume.name, force=False, in_use=[])
        removed.append(volume.name)
    await volumes.settled()
    call.engine.events.publish("volume", "prune", "", {"reclaimed": str(space)})
    return json_response({"VolumesDeleted": removed, "SpaceReclaimed": space})


ROUTES = (
    ("GET", "/volumes", list_volumes),
    ("POST", "/volumes/create", create_volume),
    ("POST", "/volumes/prune", prune_volumes),
    ("GET", "/volumes/{name}", inspect_volume),
    ("DELETE", "/volumes/{name}", remove_volume),
)
