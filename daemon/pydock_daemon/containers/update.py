"""`POST /containers/{id}/update`: other limits, another restart policy, other variables. Used by `api.containers`.

Order, so that nothing is half done: refuse, change the running container, write the record, tell.
"""

from typing import Any

from pydock_shared.errors import Conflict, InvalidArgument, PydockError
from pydock_shared.wire.container import HostConfig, Resources, UpdateContainer

from . import create, supported
from .model import Container, Status
from .resources import resources
from .service import Containers

IGNORED = ("init", "devices", "device_requests", "device_cgroup_rules", "cgroup_parent", "ulimits")
"""Resources that Docker's update takes and leaves alone; here they are refused."""


async def update(containers: Containers, container: Container, asked: UpdateContainer) -> list[str]:
    """Change what is given; return warnings. InvalidArgument, Conflict with Docker's words."""
    async with container.lock:
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f'Container is marked for removal and cannot be "update".')
        changes = _changes(asked)
        host = _merged(container, changes)
        _check(container, asked, host)
        create.check_limits(host)
        if asked.env is not None:
            _check_env(container, asked.env)
        limits = _live(changes, host)
        if container.alive and limits:
            await _apply(containers, container, limits)
        if asked.restart_policy and asked.restart_policy.name:
            host.restart_policy = asked.restart_policy
        container.host = host
        if asked.env is not None:
            container.config.env = asked.env
        containers.save_asked(container)
    containers.publish(container, "update")
    return create.warnings(host)


def _changes(asked: UpdateContainer) -> dict[str, Any]:
    """Return the resources that are given: as in Docker's protocol, zero and empty mean "as it is"."""
    given = {name: getattr(asked, name) for name in Resources.model_fields}
    found = {name: value for name, value in given.items() if value not in (None, 0, "", [], {})}
    for name in IGNORED:
        if name in found:
            raise InvalidArgument(f"{Resources.model_fields[name].alias} cannot be updated")
    return found


def _merged(container: Container, changes: dict[str, Any]) -> HostConfig:
    host = container.host.model_copy(deep=True)
    for name, value in changes.items():
        setattr(host, name, value)
    return host


def _check(container: Container, asked: UpdateContainer, host: HostConfig) -> None:
    """Raise for what contradicts the settings there are (moby, `container.UpdateContainer`)."""
    before = container.host
    for new, old, name, other in (
        (asked.nano_cpus, before.cpu_period, "Nano CPUs", "CPU Period"),
        (asked.nano_cpus, before.cpu_quota, "Nano CPUs", "CPU Quota"),
        (asked.cpu_period, before.nano_cpus, "CPU Period", "NanoCPUs"),
        (asked.cpu_quota, before.nano_cpus, "CPU Quota", "NanoCPUs"),
    ):
        if new and old:
            raise Conflict(f"Conflicting options: {name} cannot be updated as {other} has already been set")
    swap = before.memory_swap or 2 * (before.memory or 0)
    if asked.memory and not asked.memory_swap and 0 < swap < asked.memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    policy = asked.restart_policy
    if policy and policy.name:
        if host.auto_remove and policy.name != "no":
            raise InvalidArgument("Restart policy cannot be updated because AutoRemove is enabled for the container")
        create.check_restart_policy(policy)
    supported.check(container.config, host)


def _check_env(container: Container, env: list[str]) -> None:
    if container.alive:
        raise Conflict("the environment of a running container cannot be updated")
    for entry in env:
        name, equals, _ = entry.partition("=")
        if not name or not equals:
            raise InvalidArgument(f"invalid environment variable: {entry}")


def _live(changes: dict[str, Any], host: HostConfig) -> dict[str, Any]:
    """Return the OCI resources that change, complete in what belongs together (memory with swap, quota with period)."""
    whole = resources(host, extra_rules=[], devices=[])
    whole.pop("devices", None)
    wanted = resources(HostConfig.model_validate(changes_by_alias(changes)), extra_rules=[], devices=[])
    return {name: section for name, section in whole.items() if name in wanted}


def changes_by_alias(changes: dict[str, Any]) -> dict[str, Any]:
    """Return changed resources by their names on the wire."""
    return {str(Resources.model_fields[name].alias): value for name, value in changes.items()}


async def _apply(containers: Containers, container: Container, limits: dict[str, Any]) -> None:
    try:
        await containers.supervisor.request("update", container=container.id, resources=limits)
    except PydockError as error:
        raise PydockError(f"Cannot update container {container.id}: {error.message}") from error
