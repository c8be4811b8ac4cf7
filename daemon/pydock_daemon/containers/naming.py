"""How a container finds others by name: its resolv.conf, and its name server when it is on user-defined networks.

Used by `start`, `networking` (a container that comes into its first such network) and `reconcile`.
"""

import logging
import socket
from collections.abc import Iterable

from pydock_daemon.networks import hosts
from pydock_daemon.networks import naming as names
from pydock_daemon.networks.model import Endpoint
from pydock_shared.errors import PydockError

from .model import Container
from .service import Containers

log = logging.getLogger("pydockd.containers")


def wanted(endpoints: Iterable[Endpoint]) -> bool:
    """Say whether a container with these endpoints has a name server of ours, as in Docker."""
    return any(endpoint.named for endpoint in endpoints)


def resolv_conf(containers: Containers, container: Container, *, own: bool) -> str:
    """Return the text of a container's resolv.conf."""
    host = container.host
    return names.resolv_conf(
        containers.networks,
        host.network_mode or "",
        host.dns or [],
        host.dns_search or [],
        host.dns_options or [],
        own=own,
    )


async def open_at(containers: Containers, container: Container, pid: int) -> list[int]:
    """Open the name server in the namespace of a process; return its sockets for the supervisor to keep."""
    servers = containers.networks.nameservers
    try:
        pair = await servers.make(pid)
    except OSError as error:
        raise PydockError(f"failed to open the name server of container {container.name}: {error}") from error
    await _serve(containers, container, pair)
    return [sock.fileno() for sock in pair]


async def _serve(containers: Containers, container: Container, pair: tuple[socket.socket, socket.socket]) -> None:
    host, networks = container.host, containers.networks
    settings = names.settings(networks, container.id, host.dns or [], host.dns_options or [])
    await networks.nameservers.serve(container.id, pair, settings)


async def ensure(containers: Containers, container: Container) -> None:
    """See to it that a running container has its name server, with the sockets that it had, if it had any.

    A resolv.conf that somebody wrote to is left alone.
    """
    networks = containers.networks
    if container.id in networks.nameservers or not wanted(networks.of_container(container.id)):
        return
    answer = await containers.supervisor.request("kept", container=container.id)
    sockets = [socket.socket(fileno=fd) for fd in answer.get("fds", ())]
    if len(sockets) == 2:
        await _serve(containers, container, (sockets[0], sockets[1]))
    else:
        fds = await open_at(containers, container, container.state.pid)
        await containers.supervisor.request("keep", fds=fds, container=container.id)
    before, after = (resolv_conf(containers, container, own=own) for own in (False, True))
    hosts.replace(containers.directory(container) / "resolv.conf", before, after)


async def adopt(containers: Containers, container: Container) -> None:
    """Do as `ensure` for a container that was running before this daemon."""
    try:
        await ensure(containers, container)
    except PydockError as error:
        log.warning("%s", error.message)
