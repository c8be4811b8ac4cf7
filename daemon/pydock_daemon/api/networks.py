"""`/networks`: the endpoints of user-defined and predefined networks. Its ROUTES are read by the server."""

from aiohttp import web

from pydock_daemon.containers import networking
from pydock_daemon.networks import define
from pydock_shared.errors import InvalidArgument, NotFound
from pydock_shared.wire.network import NetworkConnect, NetworkCreate, NetworkDisconnect

from .routing import Call, Route, empty, json_response
from .shapes import NETWORK, shaped


async def list_networks(call: Call) -> web.StreamResponse:
    """Answer the networks, each without its containers, as Docker does since 1.28."""
    networks = call.engine.networks
    members = call.version < (1, 28)
    found = define.listed(networks, call.filters())
    shown = [define.inspect(networks, network, members=members) for network in found]
    return json_response([shaped(network, NETWORK, call.version) for network in shown])


async def inspect_network(call: Call) -> web.StreamResponse:
    """Answer one network with the containers that are in it."""
    networks = call.engine.networks
    scope = call.query.get("scope", "")
    network = networks.get(call.params["id"])
    if scope not in ("", "local"):
        raise InvalidArgument(f"network {network.name} has no scope {scope}")
    return json_response(shaped(define.inspect(networks, network, members=True), NETWORK, call.version))


async def create_network(call: Call) -> web.StreamResponse:
    """Make a network."""
    network = define.create(call.engine.networks, await call.body(NetworkCreate))
    return json_response({"Id": network.id, "Warning": ""}, 201)


async def remove_network(call: Call) -> web.StreamResponse:
    """Remove a network."""
    networks = call.engine.networks
    await define.remove(networks, networks.get(call.params["id"]))
    return empty()


async def prune_networks(call: Call) -> web.StreamResponse:
    """Remove the networks nobody is in."""
    removed = await define.prune(call.engine.networks, call.filters())
    return json_response({"NetworksDeleted": removed or None})


async def connect_container(call: Call) -> web.StreamResponse:
    """Put a container into a network: at once when it runs, else when it starts."""
    body = await call.body(NetworkConnect)
    network = call.engine.networks.get(call.params["id"])
    container = call.engine.containers.get(body.container or "")
    settings = body.endpoint_config.model_dump(by_alias=True, exclude_none=True) if body.endpoint_config else {}
    await networking.connect(call.engine.containers, container, network, settings)
    return empty(200)


async def disconnect_container(call: Call) -> web.StreamResponse:
    """Take a container out of a network."""
    body = await call.body(NetworkDisconnect)
    network = call.engine.networks.get(call.params["id"])
    try:
        container = call.engine.containers.get(body.container or "")
    except NotFound as error:
        if not body.force:
            raise
        # For what only its endpoint is left of, in Docker; here an endpoint ends with its container.
        raise NotFound(f"endpoint {body.container} not found") from error
    await networking.disconnect(call.engine.containers, container, network)
    return empty(200)


ROUTES: tuple[Route, ...] = (
    ("GET", "/networks", list_networks),
    ("POST", "/networks/create", create_network),
    ("POST", "/networks/prune", prune_networks),
    ("GET", "/networks/{id:path}", inspect_network),
    ("DELETE", "/networks/{id:path}", remove_network),
    ("POST", "/networks/{id:path}/connect", connect_container),
    ("POST", "/networks/{id:path}/disconnect", disconnect_container),
)
