"""A running container comes into a network, or leaves one. Used by `containers.networking`.

The host's side is made here at once; what is inside the container (names, addresses, routes of its interfaces) is given
to the supervisor, in the form of `Networks.plug`.
"""

import asyncio
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydock_shared.errors import PydockError

from .endpoints import interfaces, place, plan
from .links import Links
from .model import Endpoint, Network

if TYPE_CHECKING:
    from .service import Networks


def join(
    networks: "Networks", container: str, names: tuple[str, str], mode: str, endpoints: dict[str, dict[str, Any]]
) -> Endpoint | None:
    """Give a container its place in the one network of `endpoints` that it is not in yet; None when it is in all.

    `names` are its name and its hostname. Errors as of `Networks.connect`; a failure leaves nothing.
    """
    present = networks.of_container(container)
    known = {endpoint.network_id for endpoint in present}
    wanted = plan(networks, mode, endpoints)
    new = next((item for item in wanted if item.network.id not in known), None)
    if new is None:
        return None
    with ExitStack() as undo:
        (interface,) = interfaces([new], {endpoint.interface for endpoint in present})
        made = place(networks, undo, interface, new, container, *names)
        kept = [
            replace(
                e,
                default_route=e.default_route and not made.default_route,
                default_route6=e.default_route6 and not made.default_route6,
            )
            for e in present
        ]
        networks.keep_endpoints(container, [*kept, made])
        undo.pop_all()
    networks.tell("connect", container, made.network_id)
    return made


def part(
    networks: "Networks", container: str, network: Network, mode: str, endpoints: dict[str, dict[str, Any]]
) -> tuple[Endpoint | None, list[dict[str, Any]]]:
    """Take a container out of a network; `endpoints` are those it is left with.

    Return the endpoint that is gone, and what the supervisor needs to lead default routes through other interfaces. The
    caller removes the link: `remove_link`.
    """
    present = networks.of_container(container)
    gone = next((endpoint for endpoint in present if endpoint.network_id == network.id), None)
    if gone is None:
        return None, []
    left = [endpoint for endpoint in present if endpoint is not gone]
    plans = {item.network.id: item for item in plan(networks, mode, endpoints)}
    now = [
        replace(
            endpoint,
            default_route=plans[endpoint.network_id].default_route,
            default_route6=plans[endpoint.network_id].default_route6,
        )
        for endpoint in left
    ]
    networks.keep_endpoints(container, now)
    networks.release(gone)
    networks.tell("disconnect", container, network.id)
    return gone, [route for route in map(_route, left, now) if len(route) > 2]


def _route(before: Endpoint, now: Endpoint) -> dict[str, Any]:
    """Return the default routes that an interface did not have before, in the form of `Networks.plug`."""
    added = {"gateway": now.gateway} if now.default_route and not before.default_route else {}
    added |= {"gateway6": now.gateway6} if now.default_route6 and not before.default_route6 else {}
    return {"link": now.interface, "name": now.interface, **added}


async def remove_link(endpoint: Endpoint) -> None:
    """Delete the veth pair of an endpoint: with its end in the host goes that in the container."""
    if endpoint.link:
        # The kernel takes 20 to 40 ms (RCU): not on the event loop's thread, so with a socket of its own.
        await asyncio.to_thread(_remove_link, endpoint.link)


def _remove_link(name: str) -> None:
    with closing(Links()) as own:
        try:
            own.remove(name)
        except OSError as error:
            raise PydockError(f"failed to remove link {name}: {error}") from error
