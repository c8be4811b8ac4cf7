"""`POST /containers/{id}/start`: network, spec, supervisor. Used by the API, the restart policy and reconcile.

    networks.connect -> files -> networks.publish -> supervisor create (init waits at its gate) -> networks.plug
    -> clients that attached before get the streams -> supervisor start -> RUNNING is committed

Each step puts its undo on a stack; a failure at any step takes back those before it.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydock_daemon.networks.model import Endpoint
from pydock_daemon.networks.naming import hosts_file, hosts_of_build
from pydock_shared.errors import Conflict, InvalidArgument, NotModified, PydockError, Unavailable
from pydock_shared.wire.container import HostConfig

from . import (
    attach,
    devices,
    discard,
    files,
    initprogram,
    links,
    modes,
    naming,
    netns,
    runtimes,
    seccomp,
    sharedmemory,
    sources,
)
from .answers import LONGEST
from .logdrivers import settings
from .model import Container, Status
from .service import Containers
from .spec import DEFAULT_PATH, Facts, build

LONGEST_BY_CRIU = 660.0
"""Seconds for what criu does, which the supervisor ends itself after ten minutes."""
Restore = dict[str, str]
"""What a start from a checkpoint takes, as the supervisor has it: `images`, `work`."""


async def start(containers: Containers, container: Container, *, restore: Restore | None = None) -> None:
    """Start a container that does not run, or let it go on where a checkpoint was made; NotModified when it runs."""
    async with container.lock:
        if container.state.status is Status.PAUSED:
            raise Conflict("cannot start a paused container, try unpause instead")
        if container.alive:
            raise NotModified("container already started")
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict("container is marked for removal and cannot be started")
        if container.restart:
            container.restart.cancel()
            container.restart = None
        container.state.restart_count, container.delay = 0, 0.0
        container.state.stopped_by_user = False
        try:
            await launch(containers, container, restore)
        except PydockError:
            if container.host.auto_remove:
                # A client that waits for the removal would wait for ever.
                await discard.discard(containers, container, volumes=True)
            raise


async def launch(containers: Containers, container: Container, restore: Restore | None = None) -> None:
    """Bring the container up; the caller holds its lock. On failure the record says why and nothing else is left."""
    try:
        async with _undoing() as undo:
            await _launch(containers, container, undo, restore)
    except PydockError as error:
        container.state.error = error.message
        container.state.exit_code = getattr(error, "exit_code", 128)
        containers.save(container)
        attach.close_pending(container)
        raise
    links.moved(containers, container)
    containers.tell_mounts(container, "mount")
    containers.publish(container, "start")


@asynccontextmanager
async def _undoing() -> AsyncIterator[AsyncExitStack]:
    """Give a stack that is unwound only when the block fails."""
    async with AsyncExitStack() as stack:
        yield stack
        stack.pop_all()


async def _launch(containers: Containers, container: Container, undo: AsyncExitStack, restore: Restore | None) -> None:
    state, networks = container.state, containers.networks
    for child in list(container.visitors):
        await child.end()  # it holds the mounts of the last run, and this one mounts the same folders
    links.check(containers, container)
    endpoints = _connect(containers, container, undo)
    directory = containers.directory(container)
    _write_files(containers, container, endpoints, directory)
    ports = publish(containers, container, endpoints)
    driver = await containers.shipping.connect(container, environment(container))
    if driver is not None:
        undo.callback(driver.close)
    undo.push_async_callback(containers.volumes.mounts.release, container.id)
    await sharedmemory.hold(containers, container)
    async with sources.ready(containers, container, container.id) as parts:
        pid = await _create(containers, container, parts, undo, restore)
    interfaces = [networks.plug(endpoint, pid) for endpoint in endpoints]
    for endpoint in endpoints:
        netns.set_parameters(pid, endpoint)
    if restore is None:
        await attach.hand_over(containers, container)
    kept = await naming.open_at(containers, container, pid) if naming.wanted(endpoints) else ()
    longest = LONGEST if restore is None else LONGEST_BY_CRIU
    started = await containers.supervisor.request(
        "start", fds=kept, longest=longest, container=container.id, interfaces=interfaces
    )
    if restore is not None:
        await attach.hand_over(containers, container)  # a terminal is there only now
    state.pid, state.started_at, state.finished_at = pid, started["started_at"], 0
    state.exit_code, state.error, state.oom_killed, state.ports = 0, "", False, ports
    with containers.moving(container, Status.RUNNING):
        pass
    if driver is not None:
        containers.shipping.begin(container, containers.log_path(container), driver)


async def specification(containers: Containers, container: Container, parts: dict[str, str]) -> dict[str, Any]:
    """Return the OCI configuration; `parts` as `sources.ready` gives them."""
    facts = _facts(containers, container, parts)
    spec = build(container, facts)
    if names := devices.by_name(container.host):
        from .cdi import edits as cdi  # whoever has no such device does not pay for it

        await asyncio.to_thread(cdi.apply, spec, names, containers.config.cdi_folders)
    if containers.remap:
        from . import remapped  # whoever has no such containers does not pay for it

        remapped.apply(containers, container, spec, facts.shared)
    return spec


async def _create(
    containers: Containers,
    container: Container,
    parts: dict[str, str],
    undo: AsyncExitStack,
    restore: Restore | None,
) -> int:
    """Let the supervisor make the container, with everything mounted; return the process that waits at its gate."""
    spec = await specification(containers, container, parts)
    profile = _profile(container, spec)
    runtime = runtimes.chosen(containers.config, container)
    if runtime is not None:
        spec["linux"]["seccomp"], profile = profile and profile.oci, None
    overlay = containers.snapshots.overlay(container.id)
    plain = overlay.get("plain")
    if plain and any(entry["type"] == "user" for entry in spec["linux"]["namespaces"]):
        overlay, plain = {"folder": plain}, None
    elif plain:
        spec["root"]["path"] = plain
    request = {
        "container": container.id,
        "spec": spec,
        "runtime": runtime,
        "overlay": None if plain else overlay,
        "tty": bool(container.config.tty),
        "stdin": bool(container.config.open_stdin),
        "stdin_once": bool(container.config.stdin_once),
        "log": settings.of(container, environment(container), containers.log_path(container)),
        "cgroup": {"path": spec["linux"]["cgroupsPath"]},
        "restore": restore,
    }
    undo.push_async_callback(_discard, containers, container)
    answer = await containers.supervisor.create(request, profile)
    return int(answer["pid"])


async def _discard(containers: Containers, container: Container) -> None:
    # One that does not answer now finds the word to delete behind what it had begun, when it looks again.
    with contextlib.suppress(Unavailable):
        await containers.supervisor.request("delete", container=container.id, force=True)


def _connect(containers: Containers, container: Container, undo: AsyncExitStack) -> Sequence[Endpoint]:
    networks = containers.networks
    mode = container.host.network_mode or "bridge"
    if container.config.network_disabled or not container.endpoints:
        return []  # not wanted, taken out of all, or another container's
    undo.callback(networks.disconnect, container.id)
    hostname = container.config.hostname or container.short
    return networks.connect(container.id, container.name, hostname, mode, container.endpoints)


def publish(containers: Containers, container: Container, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Publish the ports of a container that is in these networks; return NetworkSettings.Ports."""
    if not endpoints:
        return {}
    bindings = {
        port: [binding.model_dump(by_alias=True) for binding in chosen or ()]
        for port, chosen in (container.host.port_bindings or {}).items()
    }
    return containers.networks.publish(
        container.id,
        endpoints[0],
        bindings,
        bool(container.host.publish_all_ports),
        list(container.config.exposed_ports or {}),
    )


def _write_files(containers: Containers, container: Container, endpoints: Sequence[Endpoint], directory: Path) -> None:
    if (container.host.network_mode or "").startswith("container:"):
        return
    host, networks = container.host, containers.networks
    hostname = container.config.hostname or os.uname().nodename
    files.write(directory, "hostname", hostname + "\n")
    if container.in_build:
        text = hosts_of_build(networks, hostname, host.extra_hosts or [])
    else:
        text = hosts_file(
            networks,
            hostname,
            container.config.domainname or "",
            host.extra_hosts or [],
            links.hosts_lines(containers, container),
            endpoints,
            host.network_mode or "",
        )
    files.write(directory, "hosts", text)
    files.write(directory, "resolv.conf", naming.resolv_conf(containers, container, own=naming.wanted(endpoints)))


def _facts(containers: Containers, container: Container, parts: dict[str, str]) -> Facts:
    host, config = container.host, container.config
    passed, rules = devices.resolve(host)
    shared = modes.shared(containers, container)
    return Facts(
        env=environment(container, links.environment(containers, container)) + container.hidden,
        args=[*(config.entrypoint or ()), *(config.cmd or ())],
        files=files.paths(containers, container),
        capabilities=containers.capabilities,
        shared=shared,
        parts=parts,
        devices=passed,
        device_rules=rules,
        block_limits=_block_limits(host),
        cgroup=containers.cgroup_path(container),
        shm_of=sharedmemory.path(containers, container),
        init=initprogram.path(containers.config) if initprogram.wanted(containers.config, host) else None,
    )


def _block_limits(host: HostConfig) -> dict[str, list[dict[str, int]]]:
    try:
        return devices.block_limits(host)
    except InvalidArgument as error:
        raise PydockError(error.message) from error  # as of `devices.resolve`: the request to start it was right


def environment(container: Container, linked: Sequence[str] = (), *, tty: bool | None = None) -> list[str]:
    """Return the variables of a process, Docker's own ones first, then those of links, then the container's others.

    `tty` says whether it has a terminal, where that is not the container's own.
    """
    config = container.config
    named = [] if container.in_build else [f"HOSTNAME={config.hostname or os.uname().nodename}"]
    terminal = ["TERM=xterm"] if (config.tty if tty is None else tty) else []
    return replaced([DEFAULT_PATH, *named, *terminal, *linked], config.env)


def replaced(variables: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """Return variables with those that are given in the place of their like, and after them; a bare name unsets one."""
    found = {entry.partition("=")[0]: entry for entry in variables}
    for entry in given or ():
        name, equals, _ = entry.partition("=")
        if equals:
            found[name] = entry
        else:
            found.pop(name, None)
    return list(found.values())


def _profile(container: Container, spec: dict[str, Any]) -> seccomp.Profile | None:
    if container.host.privileged:
        return None
    return seccomp.for_container(
        seccomp.option(container.host.security_opt), spec["process"]["capabilities"]["bounding"]
    )
