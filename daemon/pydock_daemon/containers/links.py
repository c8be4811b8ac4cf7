"""`--link` on the default network: lines in /etc/hosts and variables that say where another container is.

Used by `create`, `start`, `exec`, `inspect`, `discard` and the API. What a link leads to is settled at create; where,
at each start. When the other one starts again with another address, the line in /etc/hosts follows and the variables do
not, as in Docker. On networks of one's own a link is an alias, which the name server knows.
"""

from collections.abc import Iterable, Iterator

from pydock_daemon.networks import hosts
from pydock_shared import links
from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError
from pydock_shared.ports import parse_key
from pydock_shared.wire.container import HostConfig

from .model import Container
from .service import Containers

DEFAULT = "bridge"
HOST = "host type networking"
UNDEFINED = "can't be used with links. This would result in undefined behavior"
NOT_PASSED_ON = ("HOME", "PATH")


def resolve(containers: Containers, host: HostConfig) -> dict[str, str]:
    """Return the ids of the containers that links of a request lead to, by alias; InvalidArgument in Docker's words.

    Of two links with one alias the first holds. The request's own texts are taken out: inspect makes them anew.
    """
    asked, host.links = host.links or (), None
    if asked:
        _check_mode(host.network_mode or "")
    found: dict[str, str] = {}
    for text in asked:
        name, alias = links.parse(text)
        other = _other(containers, name)
        if other.host.network_mode == "host":
            raise InvalidArgument(f"conflicting options: {HOST} {UNDEFINED}")
        found.setdefault(alias, other.id)
    return found


def _other(containers: Containers, name: str) -> Container:
    """Return a container, or the one whose network it shares."""
    while True:
        try:
            other = containers.get(name)
        except NotFound as error:
            # Not as NotFound: clients take that for a missing image, and pull.
            raise InvalidArgument(f"could not get container for {name}: {error.message}") from error
        mode = other.host.network_mode or ""
        if not mode.startswith("container:"):
            return other
        name = mode.removeprefix("container:")


def _check_mode(mode: str) -> None:
    """Refuse links together with somebody else's network."""
    if mode == "host":
        raise InvalidArgument(f"conflicting options: {HOST} {UNDEFINED}")
    if mode.startswith("container:"):
        raise InvalidArgument(f"conflicting options: container type network {UNDEFINED}")


def _linked(containers: Containers, container: Container) -> Iterator[tuple[str, Container]]:
    """Yield what a container is linked to, with its alias."""
    for alias, id_ in sorted(container.links.items()):
        other = containers.find(id_)
        if other is not None:
            yield alias, other


def texts(containers: Containers, container: Container) -> list[str] | None:
    """Return HostConfig.Links as inspect shows it: `/web:/app/db`."""
    return [f"/{other.name}:/{container.name}/{alias}" for alias, other in _linked(containers, container)] or None


def names(containers: Containers, container: Container) -> list[str]:
    """Return all names of a container: its own, and those that links give it (`/app/db`)."""
    given = [f"/{parent.name}/{alias}" for parent, alias in containers.linked_to(container)]
    return [f"/{container.name}", *sorted(given)]


def _address(containers: Containers, container: Container) -> str:
    """Return the address of a container in the default network; nothing when it is not in it."""
    endpoints = containers.networks.of_container(container.id)
    return next((endpoint.ip for endpoint in endpoints if endpoint.network_name == DEFAULT), "")


def check(containers: Containers, container: Container) -> None:
    """Raise PydockError in Docker's words when something that a container is linked to is not there."""
    if DEFAULT not in container.endpoints:
        return
    for alias, other in _linked(containers, container):
        if not other.alive:
            raise PydockError(f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}")
        if not _address(containers, other):
            raise PydockError(f"container {other.id} not attached to default bridge network")


def hosts_lines(containers: Containers, container: Container) -> list[str]:
    """Return the lines of a container's hosts file for what it is linked to."""
    if DEFAULT not in container.endpoints:
        return []
    found = ((_address(containers, other), alias, other) for alias, other in _linked(containers, container))
    return [f"{address}\t{_words(alias, other)}" for address, alias, other in found if address]


def _words(alias: str, other: Container) -> str:
    return " ".join([alias, other.config.hostname or other.short, *([other.name] if other.name != alias else ())])


def environment(containers: Containers, container: Container) -> list[str]:
    """Return the variables about what a container is linked to, and runs in the default network."""
    if not container.links or not _address(containers, container):
        return []
    found = ((_address(containers, other), alias, other) for alias, other in _linked(containers, container))
    return [
        variable
        for address, alias, other in found
        if address
        for variable in variables(
            f"/{container.name}/{alias}", address, other.config.exposed_ports or (), other.config.env or ()
        )
    ]


def variables(name: str, address: str, exposed: Iterable[str], env: Iterable[str]) -> list[str]:
    """Return the variables of one link, `DB_PORT_5432_TCP_ADDR=172.17.0.2` and its like, as Docker makes them."""
    alias = name.rpartition("/")[2].upper().replace("-", "_")
    ports = sorted(map(parse_key, exposed), key=lambda port: (port[1] != "tcp", port[1], port[0]))
    made = [f"{alias}_PORT={proto}://{address}:{port}" for port, proto in ports[:1]]
    for port, proto in ports:
        key = f"{alias}_PORT_{port}_{proto.upper()}"
        made += [f"{key}={proto}://{address}:{port}", f"{key}_ADDR={address}", f"{key}_PORT={port}"]
        made.append(f"{key}_PROTO={proto}")
    for first, last, proto in _ranges(ports):
        key = f"{alias}_PORT_{first}_{proto.upper()}"
        made += [f"{key}_START={proto}://{address}:{first}", f"{key}_PORT_START={first}"]
        made += [f"{key}_END={proto}://{address}:{last}", f"{key}_PORT_END={last}"]
    made.append(f"{alias}_NAME={name}")
    own = [entry.partition("=") for entry in env if "=" in entry]
    return made + [f"{alias}_ENV_{key}={value}" for key, _, value in own if key not in NOT_PASSED_ON]


def _ranges(ports: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """Return the runs of ports that follow each other."""
    runs: list[tuple[int, int, str]] = []
    for port, proto in ports:
        if runs and runs[-1][1:] == (port - 1, proto):
            runs[-1] = (runs[-1][0], port, proto)
        else:
            runs.append((port, port, proto))
    return [run for run in runs if run[0] != run[1]]


def moved(containers: Containers, container: Container) -> None:
    """Tell the containers that are linked to one where it is now."""
    for parent, alias in containers.linked_to(container):
        address = _address(containers, container)
        if parent.alive and address and _address(containers, parent):
            hosts.move(containers.directory(parent) / "hosts", _words(alias, container), address)


def cut(containers: Containers, container: Container) -> None:
    """Take away the links to a container that is about to go."""
    for parent, alias in containers.linked_to(container):
        del parent.links[alias]
        containers.save_asked(parent)


def remove(containers: Containers, name: str) -> None:
    """Take away one link (`rm --link app/db`). NotFound; Conflict for the name of a container itself."""
    parent_name, _, alias = name.rpartition("/")
    parent = containers.named(parent_name)
    if parent is None or alias not in parent.links:
        containers.get(name)
        raise Conflict("Conflict, cannot remove the default link name of the container")
    before = hosts_lines(containers, parent)
    del parent.links[alias]
    containers.save_asked(parent)
    gone = [line for line in before if line not in hosts_lines(containers, parent)]
    hosts.edit(containers.directory(parent) / "hosts", remove=gone)
