"""At start: what the database says, what the supervisor knows, and what lies on disk, made one again. Used by `app`.

It adopts what runs, settles what ended while nobody listened, says what the restart policies want to run (see
`autostart`), and removes what nobody owns.
"""

import logging
import shutil
import time
from typing import Any

from pydock_shared.errors import PydockError

from . import discard, exits, naming, ooms, start
from .model import Container, Status
from .service import Containers

log = logging.getLogger("pydockd.reconcile")
UNKNOWN_CODE = 255
"""The exit code of a container whose end nobody saw, as a host that lost its power leaves it; dockerd says the same."""


async def reconcile(containers: Containers, hello: dict[str, Any]) -> list[Container]:
    """Bring every record to what is true; `hello` is the supervisor's list of its containers.

    Return the containers that are RESTARTING: their start is due.
    """
    known = {entry["container"]: entry for entry in hello["containers"]}
    for container in list(containers):
        async with container.lock:
            entry = known.pop(container.id, None)
            # What was started since the supervisor was asked is not on its list.
            if container.state.started_at < hello["asked_at"]:
                await _one(containers, container, entry)
    for id_ in known:
        log.warning("removing container %s: the supervisor runs it and no record names it", id_[:12])
        await containers.supervisor.request("delete", container=id_, force=True)
    for container in containers:
        containers.shipping.resume(container, containers.log_path(container), start.environment(container))
    return [container for container in containers if container.state.status is Status.RESTARTING]


def live(containers: Containers, hello: dict[str, Any]) -> set[str]:
    """Return the ids of the containers that have processes now."""
    running = {entry["container"] for entry in hello["containers"] if entry["status"] in ("running", "paused")}
    unsaid = {
        entry["container"] for entry in hello["containers"] if _unsaid(containers.find(entry["container"]), entry)
    }
    return {c.id for c in containers if c.id in running and (c.alive or c.id in unsaid)}


def users_of_volumes(containers: Containers, live: set[str]) -> dict[str, set[str]]:
    """Return which of the containers that have processes use each volume."""
    users: dict[str, set[str]] = {}
    for container in containers:
        for point in container.mounts if container.id in live else ():
            if point.type == "volume":
                users.setdefault(point.name, set()).add(container.id)
    return users


def _unsaid(container: Container | None, entry: dict[str, Any] | None) -> bool:
    """Say whether the supervisor started a container and the daemon died before it could write that down."""
    if container is None or entry is None or container.alive:
        return False
    left = container.state.status not in (Status.REMOVING, Status.DEAD)
    return left and entry["status"] != "created" and entry["started_at"] > container.state.started_at


async def _one(containers: Containers, container: Container, entry: dict[str, Any] | None) -> None:
    if entry is not None and _unsaid(container, entry):
        _say(containers, container, entry)
    if container.alive:
        await _alive(containers, container, entry)
        return
    if entry is not None:
        await containers.supervisor.request("delete", container=container.id, force=True)
    status = container.state.status
    if status in (Status.REMOVING, Status.DEAD) or (status is Status.EXITED and container.host.auto_remove):
        try:
            await discard.discard(containers, container, volumes=True)
        except PydockError as error:
            log.warning("%s", error.message)
    elif status is Status.EXITED and _wanted(container):
        container.state.stopped_by_user, container.state.restart_count = False, 0
        with containers.moving(container, Status.RESTARTING):
            pass


def _say(containers: Containers, container: Container, entry: dict[str, Any]) -> None:
    """Write down a start that was not, as the start itself would have; its output and its end must not be lost."""
    state = container.state
    state.pid, state.started_at, state.finished_at = entry["pid"], entry["started_at"], 0
    state.exit_code, state.error, state.oom_killed = 0, "", False
    exposed = dict.fromkeys(container.config.exposed_ports or {})
    state.ports = exposed | containers.networks.bindings(container.id)
    with containers.moving(container, Status.RUNNING):
        pass
    containers.publish(container, "start")


async def _alive(containers: Containers, container: Container, entry: dict[str, Any] | None) -> None:
    """Adopt a container that still runs; settle one that ended."""
    if entry is not None and entry["status"] in ("running", "paused"):
        container.state.pid = entry["pid"]
        container.state.status = Status.PAUSED if entry["status"] == "paused" else Status.RUNNING
        if container.state.held:
            await _release(containers, container)
        containers.save(container)
        if entry["oom"] and not container.state.oom_killed:
            await ooms.record(containers, container, 1)
        await naming.adopt(containers, container)
        return
    if entry is None:
        # Its supervisor was killed in the moment of the start, before it wrote that down: nobody can wait for it now.
        path = containers.cgroup_path(container)
        await containers.supervisor.request("delete", container=container.id, force=True, cgroup=path)
    end = entry or {"code": UNKNOWN_CODE, "oom": False, "finished_at": time.time_ns()}
    await exits.settle(containers, container, end)


async def _release(containers: Containers, container: Container) -> None:
    """Let a container go on that was frozen for an operation of a daemon which did not live to its end."""
    if container.state.status is Status.PAUSED:
        await containers.supervisor.request("resume", container=container.id)
        with containers.moving(container, Status.RUNNING):
            pass
        containers.publish(container, "unpause")
    container.state.held = False


def _wanted(container: Container) -> bool:
    """Say whether the policy brings a stopped container back when the daemon starts: `always`, even after a stop."""
    policy = container.host.restart_policy
    if policy is None or not container.state.started_at:
        return False
    return policy.name == "always" or exits.wants_restart(container, container.state.exit_code)


def remove_leftovers(containers: Containers) -> None:
    """Remove the folders and snapshots that no record names: a daemon ended in the middle of a create or remove."""
    for folder in containers.root.iterdir():
        if containers.find(folder.name) is None:
            log.info("removing leftover folder of container %s", folder.name[:12])
            shutil.rmtree(folder, ignore_errors=True)
    for key in containers.snapshots.names():
        if containers.find(key) is None:
            log.info("removing leftover snapshot %s", key[:12])
            containers.snapshots.remove(key)
