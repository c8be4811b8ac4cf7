"""`POST /containers/{id}/update`: other limits, another restart policy, other variables. Used by `api.containers`.

Order, so that nothing is half done: refuse, change the running container, write the record, tell.
"""

from typing import Any

from pydock_shared.errors import Conflict, InvalidArgument, PydockError
from pydock_shared.wire import wire_name
from pydock_shared.wire.container import HostConfig, Resources, UpdateContainer

from . import create, devices, limits, supported
from .model import Container, Status
from .resources import resources
from .service import Containers

IGNORED = ("init", "devices", "device_requests", "device_cgroup_rules", "cgroup_parent", "ulimits")
"""Resources that Docker's update takes and leaves alone; here they are refused."""


async def update(containers: Containers, container: Container, asked: UpdateContainer) -> list[str]:
    """Change what is given; return warnings. InvalidArgument, Conflict with Docker's words."""
    async with container.lock:
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(
                f'Cannot update container {container.id}: Container is marked for removal and cannot be "update".'
            )
        changes = _changes(asked)
        host = _merged(container, changes)
        _check_alone(asked, changes)
        _check(container, asked, host)
        warnings = limits.discard(host)
        limits.check(host)
        if asked.env is not None:
            _check_env(container, asked.env)
        live = _live(changes, host)
        if container.alive and live:
            await _apply(containers, container, live)
        if asked.restart_policy and asked.restart_policy.name:
            host.restart_policy = asked.restart_policy
            host.restart_policy.maximum_retry_count = host.restart_policy.maximum_retry_count or 0
        container.host = host
        if asked.env is not None:
            container.config.env = asked.env
        containers.save_asked(container)
    containers.publish(container, "update")
    return warnings


def _changes(asked: UpdateContainer) -> dict[str, Any]:
    """Return the resources that are given: as in Docker's protocol, zero and empty mean "as it is"."""
    given = {name: getattr(asked, name) for name in Resources.model_fields}
    found = {name: value for name, value in given.items() if value not in (None, 0, "", [], {})}
    if given["pids_limit"] is not None:
        found["pids_limit"] = max(given["pids_limit"], 0)  # here zero means something: no limit any more
    for name in IGNORED:
        if name in found:
            raise InvalidArgument(f"{wire_name(name)} cannot be updated")
    return found


def _merged(container: Container, changes: dict[str, Any]) -> HostConfig:
    return _merged_into(container.host.model_copy(deep=True), changes)


def _merged_into(host: HostConfig, changes: dict[str, Any]) -> HostConfig:
    for name, value in changes.items():
        setattr(host, name, value)
    return host


def _check_alone(asked: UpdateContainer, changes: dict[str, Any]) -> None:
    """Raise InvalidArgument for what is wrong whatever the container has, before anything else as in Docker."""
    own = _merged_into(HostConfig(), changes)
    if not own.memory and (own.memory_swap or 0) > 0:
        own.memory_swap = None  # the container may have the limit that this needs
    limits.check(own)
    if asked.restart_policy and asked.restart_policy.name:
        create.check_restart_policy(asked.restart_policy)


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
            raise _refused(container, f"Conflicting options: {name} cannot be updated as {other} has already been set")
    swap = before.memory_swap or 2 * (before.memory or 0)
    if asked.memory and not asked.memory_swap and swap < asked.memory:
        raise _refused(
            container,
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        )
    policy = asked.restart_policy
    if policy and policy.name and policy.name != "no" and host.auto_remove:
        raise _refused(container, "Restart policy cannot be updated because AutoRemove is enabled for the container")
    supported.check(host)


def _refused(container: Container, why: str) -> Conflict:
    return Conflict(f"Cannot update container {container.id}: {why}")


def _check_env(container: Container, env: list[str]) -> None:
    if container.alive:
        raise Conflict("the environment of a running container cannot be updated")
    for entry in env:
        name, equals, _ = entry.partition("=")
        if not name or not equals:
            raise InvalidArgument(f"invalid environment variable: {entry}")


def _live(changes: dict[str, Any], host: HostConfig) -> dict[str, Any]:
    """Return the OCI resources that change, complete in what belongs together (memory with swap, quota with period)."""
    whole = resources(host, extra_rules=[], devices=[], block_limits=devices.block_limits(host))
    whole.pop("devices", None)
    by_wire_name = {wire_name(name): value for name, value in changes.items()}
    asked = HostConfig.model_validate(by_wire_name)
    wanted = resources(asked, extra_rules=[], devices=[], block_limits=devices.block_limits(asked))
    return {name: section for name, section in whole.items() if name in wanted}


async def _apply(containers: Containers, container: Container, limits: dict[str, Any]) -> None:
    try:
        await containers.supervisor.request("update", container=container.id, resources=limits)
    except PydockError as error:
        error.message = f"Cannot update container {container.id}: {error.message}"
        raise
