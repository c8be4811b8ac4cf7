"""/containers: life, list and inspection of containers. Their streams are in `streams`, their processes in `exec`."""

import json
from typing import Any

from aiohttp import web

from pydock_daemon.containers import (
    checkpoints,
    endpoints,
    kill,
    links,
    listing,
    pause,
    processes,
    remove,
    restart,
    sizes,
    stop,
    update,
    wait,
)
from pydock_daemon.containers import inspect as views
from pydock_daemon.containers.create import create
from pydock_daemon.containers.model import Container
from pydock_daemon.containers.start import start
from pydock_shared import names
from pydock_shared.errors import Conflict, InvalidArgument, NotFound
from pydock_shared.wire.container import CreateContainer, UpdateContainer

from . import shapes
from .platforms import platform
from .routing import Call, empty, json_response, terminal_size

LONGEST_NOTHING = 7
"""Bytes of a body that says nothing, `{}` or `null` with space around it; as dockerd counts."""


def _container(call: Call) -> Container:
    return call.engine.containers.get(call.params["name"])


async def list_containers(call: Call) -> web.StreamResponse:
    """GET /containers/json."""
    containers = call.engine.containers
    chosen = listing.listed(containers, call.filters(), all_=call.flag("all"), limit=call.number("limit") or 0)
    found = [views.summary(containers, container) for container in chosen]
    found = [shapes.shaped(entry, shapes.LISTED_CONTAINER, call.version) for entry in found]
    if call.flag("size"):
        for entry, size in zip(found, await _sizes(call, chosen), strict=True):
            entry |= size
    return json_response(found)


async def _sizes(call: Call, chosen: list[Container]) -> list[dict[str, int]]:
    written = await sizes.of_containers(call.engine.containers, chosen)
    return [
        views.sizes(call.engine.containers, container, size) for container, size in zip(chosen, written, strict=True)
    ]


async def create_container(call: Call) -> web.StreamResponse:
    """POST /containers/create."""
    body = await call.body(CreateContainer)
    if body.healthcheck and call.version < (1, 44):
        body.healthcheck.start_interval = None
    if call.version < (1, 44):
        endpoints.modernise(body)
    container, warnings = await create(call.engine.containers, body, call.query.get("name"), platform(call))
    return json_response({"Id": container.id, "Warnings": warnings}, 201)


async def inspect_container(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/json."""
    engine, container = call.engine, _container(call)
    shown = views.inspect(engine.containers, container, [item.id for item in engine.execs.of(container)])
    if call.flag("size"):
        shown |= (await _sizes(call, [container]))[0]
    shown = shapes.with_old_aliases(shown, call.version)
    return json_response(shapes.shaped(shown, shapes.CONTAINER, call.version))


async def start_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/start."""
    if len(await call.request.read()) > LONGEST_NOTHING:
        raise InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    containers, container, name = call.engine.containers, _container(call), call.query.get("checkpoint", "")
    if not name:
        await start(containers, container)
        return empty()
    if not call.engine.config.experimental:
        raise InvalidArgument("checkpoint is only supported in experimental mode")
    restore = await checkpoints.restoring(containers, container, name, call.query.get("checkpoint-dir", ""))
    await start(containers, container, restore=restore)
    return empty()


async def stop_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/stop."""
    signal = call.query.get("signal")
    await stop.stop(call.engine.containers, _container(call), signal=signal, timeout=call.number("t"))
    return empty()


async def restart_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/restart."""
    signal = call.query.get("signal")
    await restart.restart(call.engine.containers, _container(call), signal=signal, timeout=call.number("t"))
    return empty()


async def kill_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/kill."""
    try:
        await kill.kill(call.engine.containers, _container(call), call.query.get("signal", ""))
    except (NotFound, InvalidArgument) as error:
        raise type(error)(f"cannot kill container: {call.params['name']}: {error.message}") from error
    return empty()


async def pause_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/pause."""
    await pause.pause(call.engine.containers, _container(call))
    return empty()


async def unpause_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/unpause."""
    await pause.unpause(call.engine.containers, _container(call))
    return empty()


async def rename_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/rename."""
    container, name = _container(call), call.query.get("name", "").removeprefix("/")
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")
    if name == container.name:
        raise InvalidArgument("Renaming a container with the same name as its current name")
    old = container.name
    try:
        names.check(name if names.valid(name) else f"/{name}")
        call.engine.containers.rename(container, name)
    except (InvalidArgument, Conflict) as error:
        raise type(error)(f"Error when allocating new name: {error.message}") from error
    call.engine.containers.publish(container, "rename", oldName=f"/{old}")
    return empty()


async def update_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/update."""
    body = await call.body(UpdateContainer)
    return json_response({"Warnings": await update.update(call.engine.containers, _container(call), body) or None})


async def remove_container(call: Call) -> web.StreamResponse:
    """DELETE /containers/{name}."""
    if call.flag("link"):
        links.remove(call.engine.containers, call.params["name"])
    container = _container(call)
    await remove.remove(call.engine.containers, container, force=call.flag("force"), volumes=call.flag("v"))
    call.engine.execs.forget(container)
    return empty()


async def remove_link(call: Call) -> web.StreamResponse:
    """DELETE /containers/{name}/{alias}: a link has such a name, a container does not."""
    name = f"{call.params['name']}/{call.params['alias']}"
    if not call.flag("link"):
        raise NotFound(f"No such container: {name}")
    links.remove(call.engine.containers, name)
    return empty()


async def prune_containers(call: Call) -> web.StreamResponse:
    """POST /containers/prune."""
    removed, space = await remove.prune(call.engine.containers, call.filters())
    return json_response({"ContainersDeleted": removed or None, "SpaceReclaimed": space})


async def wait_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/wait: the headers come at once, so that a client knows nothing can be missed any more."""
    condition = call.query.get("condition") or "not-running"
    wait.check(condition)
    container = _container(call)
    future = wait.prepare(container, condition)
    response = call.streamed("application/json")
    await response.prepare(call.request)
    await response.write(b"")
    code = await future
    answer: dict[str, Any] = {"StatusCode": code}
    if container.state.error and not container.alive and condition != "removed":
        answer["Error"] = {"Message": container.state.error}  # why it could not be started
    await response.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
    await response.write_eof()
    return response


async def resize_container(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/resize: of one without a terminal there is nothing to do, and that is no mistake."""
    container = _container(call)
    width, height = terminal_size(call)
    if not container.alive:
        raise Conflict(f"container {container.id} is not running")
    if container.config.tty:
        await call.engine.supervisor.request("resize", container=container.id, width=width, height=height)
    call.engine.containers.publish(container, "resize", height=str(height), width=str(width))
    return empty(200)


async def top_container(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/top."""
    containers, container = call.engine.containers, _container(call)
    titles, rows = await processes.top(containers, container, call.query.get("ps_args") or "-ef")
    containers.publish(container, "top")
    return json_response({"Titles": titles, "Processes": rows})


ROUTES = (
    ("GET", "/containers/json", list_containers),
    ("POST", "/containers/create", create_container),
    ("POST", "/containers/prune", prune_containers),
    ("GET", "/containers/{name}/json", inspect_container),
    ("GET", "/containers/{name}/top", top_container),
    ("POST", "/containers/{name}/start", start_container),
    ("POST", "/containers/{name}/stop", stop_container),
    ("POST", "/containers/{name}/restart", restart_container),
    ("POST", "/containers/{name}/kill", kill_container),
    ("POST", "/containers/{name}/pause", pause_container),
    ("POST", "/containers/{name}/unpause", unpause_container),
    ("POST", "/containers/{name}/rename", rename_container),
    ("POST", "/containers/{name}/update", update_container),
    ("POST", "/containers/{name}/wait", wait_container),
    ("POST", "/containers/{name}/resize", resize_container),
    ("DELETE", "/containers/{name}", remove_container),
    ("DELETE", "/containers/{name}/{alias}", remove_link),
)
