"""`POST /networks/{id}/connect` and `/disconnect`: a container's networks change. Used by api.networks.

What is asked is in the record, and holds at the next start; a running container has it at once.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydock_daemon.networks import hosts, live
from pydock_daemon.networks.model import Endpoint, Network
from pydock_shared.errors import Conflict, Forbidden, InvalidArgument, PydockError

from . import naming, netns, start
from .model import Container, Status
from .service import Containers

SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


async def connect(containers: Containers, container: Container, network: Network, settings: dict[str, Any]) -> None:
    """Put a container into a network. Forbidden, InvalidArgument with Docker's words."""
    async with container.lock:
        mode = container.host.network_mode or ""
        if mode.startswith("container:") or (mode == "host" and network.name != mode):
            raise InvalidArgument(SHARED)
        _check(container, network)
        if container.alive and _names_of(container, network):
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
        # One that does not run gets the new settings instead of those it had, as in Docker.
        kept = {name: entry for name, entry in container.endpoints.items() if name != network.id}
        endpoints = {**kept, network.name: settings}
        containers.networks.check(mode or "bridge", endpoints)
        if container.alive:
            with _while_it_runs(container):
                await _join(containers, container, endpoints)
        container.endpoints = endpoints
        containers.save_asked(container)


async def disconnect(containers: Containers, container: Container, network: Network) -> None:
    """Take a container out of a network. Forbidden with Docker's words when it is not in it."""
    async with container.lock:
        known = _names_of(container, network)
        if not known:
            raise Forbidden(f"container {container.id} is not connected to network {network.name}")
        _check(container, network)
        endpoints = {name: entry for name, entry in container.endpoints.items() if name not in known}
        if container.alive:
            with _while_it_runs(container):
                await _part(containers, container, network, endpoints)
        else:
            containers.networks.tell("disconnect", container.id, network.id)
        container.endpoints = endpoints
        containers.save_asked(container)


@contextmanager
def _while_it_runs(container: Container) -> Iterator[None]:
    """Say Conflict for whatever fails because the container ends meanwhile: word of that waits for the lock."""
    try:
        yield
    except PydockError as error:
        if os.path.exists(f"/proc/{container.state.pid}/ns/net"):
            raise
        raise Conflict(f"container {container.id} is not running") from error


def _names_of(container: Container, network: Network) -> set[str]:
    return {network.name, network.id} & set(container.endpoints)


def _check(container: Container, network: Network) -> None:
    if network.name == "host":
        raise InvalidArgument("container cannot be disconnected from host network or connected to host network")
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise Forbidden(
            f"container {container.id} is marked for removal and cannot be connected or disconnected to the network"
        )


async def _join(containers: Containers, container: Container, endpoints: dict[str, dict[str, Any]]) -> None:
    networks = containers.networks
    mode = container.host.network_mode or "bridge"
    hostname = container.config.hostname or container.short
    made = live.join(networks, container.id, (container.name, hostname), mode, endpoints)
    if made is None or not made.address:
        return
    try:
        plugged = networks.plug(made, container.state.pid)
        netns.set_parameters(container.state.pid, made)
        await _configure(containers, container, [plugged])
        _own_line(containers, container, made, add=True)
        await naming.ensure(containers, container)
        if made.default_route or made.default_route6:
            await _republish(containers, container)
    except PydockError:
        network = networks.by_id[made.network_id]
        await _part(containers, container, network, container.endpoints)
        raise


async def _part(
    containers: Containers, container: Container, network: Network, endpoints: dict[str, dict[str, Any]]
) -> None:
    mode = container.host.network_mode or "bridge"
    gone, routes = live.part(containers.networks, container.id, network, mode, endpoints)
    if gone is None:
        return
    await live.remove_link(gone)
    _own_line(containers, container, gone, add=False)
    if routes:
        await _configure(containers, container, routes)
    if gone.default_route or gone.default_route6:
        await _republish(containers, container)


async def _configure(containers: Containers, container: Container, interfaces: list[dict[str, Any]]) -> None:
    await containers.supervisor.request("configure", container=container.id, interfaces=interfaces)


async def _republish(containers: Containers, container: Container) -> None:
    """Let the published ports lead to where the default route is now."""
    containers.networks.unpublish(container.id)
    endpoints = [endpoint for endpoint in containers.networks.of_container(container.id) if endpoint.address]
    container.state.ports = start.publish(containers, container, endpoints)
    containers.save(container)


def _own_line(containers: Containers, container: Container, endpoint: Endpoint, *, add: bool) -> None:
    """Put the container's own address into its hosts file, or take it out."""
    if endpoint.ip:
        hostname = container.config.hostname or os.uname().nodename
        lines = hosts.own_lines(endpoint.ips, hostname, container.config.domainname or "")
        hosts.edit(containers.directory(container) / "hosts", **{"add" if add else "remove": lines})
