"""Which containers `GET /containers/json` shows: Docker's filters as a table of predicates. Used by api.containers."""

from collections.abc import Callable, Iterable

from pydock_daemon import patterns
from pydock_shared.errors import InvalidArgument, NotFound
from pydock_shared.filters import Filters
from pydock_shared.ports import parse_expose

from .inspect import mounts
from .model import Container, Status
from .service import Containers

Test = Callable[[Containers, Container, str], bool]
STATES = {status.value for status in Status}
TASKS = {"1": True, "true": True, "0": False, "false": False}
HEALTH = ("none", "starting", "healthy", "unhealthy")


def _ancestor(containers: Containers, container: Container, value: str) -> bool:
    if container.image_name == value or container.image.removeprefix("sha256:").startswith(value):
        return True
    try:
        images = containers.images
        return any(image.id == container.image for image in images.group(images.resolve(value)))
    except NotFound:
        return False


def _name(containers: Containers, container: Container, value: str) -> bool:
    return patterns.among((value,), container.name, f"/{container.name}")


def _exited(containers: Containers, container: Container, value: str) -> bool:
    if not value.lstrip("-").isdigit():
        raise InvalidArgument(f"invalid filter 'exited={value}'")
    return container.state.status is Status.EXITED and container.state.exit_code == int(value)


def _status(containers: Containers, container: Container, value: str) -> bool:
    return container.state.status.value == value


def _volume(containers: Containers, container: Container, value: str) -> bool:
    return any(value in (found.get("Name"), found["Destination"], found["Source"]) for found in mounts(container))


def _network(containers: Containers, container: Container, value: str) -> bool:
    settings = containers.networks.settings(container.id, container.endpoints)
    return any(value == name or value == entry.get("NetworkID") for name, entry in settings.items())


def _published(containers: Containers, container: Container, value: str) -> bool:
    return _among_ports("publish", value, container.host.port_bindings or {})


def _exposed(containers: Containers, container: Container, value: str) -> bool:
    return _among_ports("expose", value, container.config.exposed_ports or {})


def _among_ports(filter_: str, value: str, ports: Iterable[str]) -> bool:
    """Say whether one of the ports is meant: `80`, `53/udp`, `8000-8080/tcp`."""
    try:
        wanted = set(parse_expose(value))
    except InvalidArgument as error:
        raise InvalidArgument(f"error while looking up for {filter_} {value}: {error.message}") from error
    return not wanted.isdisjoint(port if "/" in port else f"{port}/tcp" for port in ports)


def health_word(container: Container) -> str:
    """Return the health of a container: `none` without a check, or before its first start."""
    return container.state.health.status if container.state.health else "none"


def _health(containers: Containers, container: Container, value: str) -> bool:
    return health_word(container) == value.lower()


TESTS: dict[str, Test] = {
    "id": lambda containers, container, value: patterns.among((value,), container.id),
    "name": _name,
    "ancestor": _ancestor,
    "exited": _exited,
    "status": _status,
    "volume": _volume,
    "network": _network,
    "publish": _published,
    "expose": _exposed,
    "health": _health,
    "isolation": lambda containers, container, value: value == "default",
}
KNOWN = {*TESTS, "label", "before", "since", "is-task"}


def listed(containers: Containers, filters: Filters, *, all_: bool, limit: int) -> list[Container]:
    """Return the containers asked for, newest first."""
    filters.check_known(KNOWN)
    _check(filters)
    if any(TASKS[value.lower()] for value in filters.values("is-task")):
        return []  # none is of a swarm
    chosen = [container for container in containers if _matches(containers, container, filters)]
    if not all_ and limit <= 0 and not filters.values("status"):
        chosen = [container for container in chosen if container.alive or container.state.status is Status.RESTARTING]
    for word, newer in (("before", False), ("since", True)):
        for value in filters.values(word):
            mark = containers.get(value).created
            chosen = [item for item in chosen if (item.created > mark if newer else item.created < mark)]
    return chosen[:limit] if limit > 0 else chosen


def _check(filters: Filters) -> None:
    """Raise InvalidArgument for a word that no container can have."""
    for value in filters.values("status"):
        if value not in STATES:
            raise InvalidArgument(f"invalid filter 'status={value}'")
    for value in filters.values("health"):
        if value.lower() not in HEALTH:
            raise InvalidArgument(f"unrecognized filter value for health: {value}")
    tasks = filters.values("is-task")
    if any(value.lower() not in TASKS for value in tasks):
        raise InvalidArgument(f"invalid filter 'is-task=[{' '.join(tasks)}]'")


def _matches(containers: Containers, container: Container, filters: Filters) -> bool:
    if not filters.match_labels(container.config.labels or {}):
        return False
    for key, test in TESTS.items():
        values = filters.values(key)
        if values and not any(test(containers, container, value) for value in values):
            return False
    return True
