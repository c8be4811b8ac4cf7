"""/containers/{name}/checkpoints: an experiment of Docker's, which a daemon that is told to be experimental serves."""

from aiohttp import web

from pydock_daemon.containers import checkpoints
from pydock_shared.errors import NotSupported
from pydock_shared.wire.container import CreateCheckpoint

from .routing import Call, Route, empty, json_response

NO_EXPERIMENT = (
    "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to "
    "enable it."
)


async def create_checkpoint(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/checkpoints."""
    _check(call)
    body = await call.body(CreateCheckpoint)
    container = call.engine.containers.get(call.params["name"])
    await checkpoints.create(
        call.engine.containers,
        container,
        body.checkpoint_id or "",
        body.checkpoint_dir or "",
        leave_running=not body.exit,
    )
    return empty(201)


async def list_checkpoints(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/checkpoints."""
    _check(call)
    container = call.engine.containers.get(call.params["name"])
    found = await checkpoints.of(call.engine.containers, container, call.query.get("dir", ""))
    return json_response([{"Name": name} for name in found])


async def remove_checkpoint(call: Call) -> web.StreamResponse:
    """DELETE /containers/{name}/checkpoints/{checkpoint}."""
    _check(call)
    container = call.engine.containers.get(call.params["name"])
    await checkpoints.remove(call.engine.containers, container, call.params["checkpoint"], call.query.get("dir", ""))
    return empty()


def _check(call: Call) -> None:
    if not call.engine.config.experimental:
        raise NotSupported(NO_EXPERIMENT)


ROUTES: tuple[Route, ...] = (
    ("GET", "/containers/{name}/checkpoints", list_checkpoints),
    ("POST", "/containers/{name}/checkpoints", create_checkpoint),
    ("DELETE", "/containers/{name}/checkpoints/{checkpoint}", remove_checkpoint),
)
