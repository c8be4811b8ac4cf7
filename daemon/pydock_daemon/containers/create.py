"""`POST /containers/create`: from a request to a record, a snapshot and volumes. Used by api.containers.

Everything made on the way is undone when a later step fails; the record is written last, in one transaction.
"""

import contextlib
import os
import time
from contextlib import ExitStack

from pydock_daemon.config import Config
from pydock_daemon.images.model import Image, Platform, runs_here, whole_host_platform
from pydock_daemon.networks import ports
from pydock_daemon.networks.model import EVERY_ADDRESS
from pydock_daemon.values import OWN_RUNTIME
from pydock_shared import names
from pydock_shared.errors import InvalidArgument
from pydock_shared.wire.container import ContainerConfig, CreateContainer, HostConfig, LogConfig, RestartPolicy

from . import (
    addresses,
    capabilities,
    endpoints,
    healthcheck,
    initprogram,
    limits,
    links,
    modes,
    mounts,
    seccomp,
    signals,
    supported,
)
from .logdrivers import options
from .model import Container, MountPoint
from .service import Containers

MARK = "/.dockerenv"
RESTART_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


async def create(
    containers: Containers,
    body: CreateContainer,
    name: str | None,
    platform: Platform | None = None,
    *,
    marked: bool = True,
) -> tuple[Container, list[str]]:
    """Make a container; return it and Docker's warnings. Every refusal leaves nothing behind.

    `marked` ones have the file by which programs find out that they are in a container of Docker's.
    The image is the one for `platform`, NotFound when it is not here; when None this host's, or any there is.
    """
    config, host = body.config(), body.host_config or HostConfig()
    if not config.image:
        raise InvalidArgument("no image specified")
    image = containers.images.resolve(config.image, platform)
    image_name = config.image
    networks, linked, warnings = _settled(containers, body, config, host, image)
    if warning := await containers.images.admit(image, image_name):
        warnings.append(warning)
    if platform is None and not runs_here(image.platform):
        warnings.append(
            f"The requested image's platform ({image.platform}) does not match the detected host platform "
            f"({whole_host_platform()}) and no specific platform was requested"
        )
    validate(containers, config, host)
    containers.networks.check_new(host.network_mode or "", networks)
    container = Container(
        id=names.new_id(),
        name=_name(containers, name),
        image=image.id,
        image_name=image_name,
        created=time.time_ns(),
        config=config,
        host=host,
        endpoints=networks,
        mounts=mounts.resolve(containers, config, host, image.config.get("config", {}).get("Volumes") or ()),
        links=linked,
    )
    config.hostname = config.hostname or _hostname(containers, container)
    containers.check_name(container.name)
    await _make(containers, container, image, marked=marked)
    containers.images.uses.touch(image.id)
    containers.publish(container, "create")
    return container, warnings


def _settled(
    containers: Containers, body: CreateContainer, config: ContainerConfig, host: HostConfig, image: Image
) -> tuple[endpoints.Endpoints, dict[str, str], list[str]]:
    """Fill in what the request leaves open; return its networks, its links, and warnings."""
    supported.check(host)
    modes.conflicts(config, host)
    merge(config, image)
    settle(containers, config, host)
    networks, warnings = endpoints.asked(body, host)
    config.mac_address = None  # from here on it is the main network's
    linked = links.resolve(containers, host)
    warnings += limits.discard(host)
    if host.network_mode == "host" and host.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return networks, linked, warnings


async def _make(containers: Containers, container: Container, image: Image, *, marked: bool) -> None:
    """Make its files and volumes, then its record."""
    id_ = container.id
    with ExitStack() as undo:
        containers.snapshots.prepare(id_, image.chain)
        undo.callback(containers.snapshots.remove, id_)
        await containers.snapshots.made(id_)
        if marked:
            _mark(containers, id_)
        container.mounts = [_ensure(containers, undo, point, id_) for point in container.mounts]
        containers.directory(container).mkdir(mode=0o710)
        undo.callback(containers.directory(container).rmdir)
        containers.add(container)
        undo.pop_all()


def _hostname(containers: Containers, container: Container) -> str:
    """Return the name a container has when none is asked for: the host's, another container's, or its short id."""
    mode = container.host.network_mode or ""
    if "host" in (mode, container.host.uts_mode):
        return os.uname().nodename
    if mode.startswith("container:"):
        other = containers.find(mode.removeprefix("container:"))
        return (other.config.hostname if other else "") or container.short
    return container.short


def _mark(containers: Containers, id_: str) -> None:
    place = containers.snapshots.overlay(id_)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(f"{place.get('plain') or place['upper']}{MARK}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o755))


def merge(config: ContainerConfig, image: Image) -> None:
    """Fill what the request leaves open from the image's configuration, as Docker does."""
    base = ContainerConfig.model_validate(image.config.get("config") or {})
    config.env = _merged_env(base.env or [], config.env or [])
    config.labels = {**(base.labels or {}), **(config.labels or {})}
    config.exposed_ports = {**(base.exposed_ports or {}), **(config.exposed_ports or {})}
    if config.entrypoint is None:
        # An entrypoint of the request drops the image's command; an empty one ([""]) resets it.
        config.entrypoint = base.entrypoint
        config.cmd = config.cmd or base.cmd
    for attribute in ("user", "working_dir", "stop_signal", "shell"):
        if not getattr(config, attribute):
            setattr(config, attribute, getattr(base, attribute))
    if config.stop_timeout is None:
        config.stop_timeout = base.stop_timeout
    config.healthcheck = healthcheck.merge(config.healthcheck, base.healthcheck)
    if config.entrypoint == [""]:
        config.entrypoint = None
    if not config.entrypoint and not config.cmd:
        raise InvalidArgument("no command specified")


def _merged_env(base: list[str], own: list[str]) -> list[str]:
    """Return the image's variables, each replaced where the request sets it; a bare name stays and unsets it."""
    given = {entry.partition("=")[0] for entry in own}
    return own + [entry for entry in base if entry.partition("=")[0] not in given]


def settle(containers: Containers, config: ContainerConfig, host: HostConfig) -> None:
    """Write the defaults into the record, so that inspect shows what holds."""
    settings = containers.config
    host.network_mode = host.network_mode if host.network_mode not in (None, "", "default") else "bridge"
    modes.settle(containers, host)
    host.restart_policy = host.restart_policy or RestartPolicy(name="no", maximum_retry_count=0)
    host.restart_policy.name = host.restart_policy.name or "no"
    host.restart_policy.maximum_retry_count = host.restart_policy.maximum_retry_count or 0
    host.log_config = _log_config(settings, host.log_config)
    host.runtime = host.runtime or settings.default_runtime
    host.ipc_mode = host.ipc_mode or "private"
    host.cgroupns_mode = host.cgroupns_mode or "private"
    if not host.shm_size:
        host.shm_size = 64 * 1024 * 1024
    limits.settle(host)
    if host.privileged or "host" in (host.ipc_mode, host.pid_mode):
        # As dockerd notes it, whether there is SELinux or not.
        host.security_opt = [*(host.security_opt or ()), "label=disable"]
    if config.working_dir and config.working_dir.startswith("/"):
        config.working_dir = "/" + os.path.normpath(config.working_dir).lstrip("/")


def _log_config(settings: Config, asked: LogConfig | None) -> LogConfig:
    """Return the log driver with the daemon's options where it is the daemon's own; of another, those of its cache."""
    driver = (asked.type if asked else None) or settings.log_driver
    own = driver == settings.log_driver
    defaults = {name: text for name, text in settings.log_options.items() if own or name.startswith("cache-")}
    return LogConfig(type=driver, config=defaults | ((asked.config if asked else None) or {}))


def validate(containers: Containers, config: ContainerConfig, host: HostConfig) -> None:
    """Refuse what is malformed or not carried out; each check names its field."""
    modes.check(containers, host)
    addresses.check(host)
    if containers.remap:
        from . import remapped  # whoever has no such containers does not pay for it

        remapped.check(containers, host)
    for flag, asked in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        capabilities.normalised(asked, flag)
    seccomp.for_container(seccomp.option(host.security_opt), [])
    healthcheck.validate(config)
    _restart_policy(host)
    if "" in (host.annotations or ()):
        raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")
    _logging(host)
    limits.check(host)
    _runtime(containers, host)
    _ports(config, host)
    if initprogram.wanted(containers.config, host):
        initprogram.path(containers.config)
    if config.stop_signal:
        signals.number(config.stop_signal)
    for entry in config.env or ():
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {entry}")
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )


def _restart_policy(host: HostConfig) -> None:
    policy = host.restart_policy
    if policy is None:
        return
    check_restart_policy(policy)
    if host.auto_remove and policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")


def check_restart_policy(policy: RestartPolicy) -> None:
    """Refuse a policy that there is not; also for `update`."""
    if policy.name not in RESTART_POLICIES:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    count = policy.maximum_retry_count or 0
    wrong = [] if policy.name == "on-failure" or not count else ["can only be used with 'on-failure'"]
    wrong += ["cannot be negative"] if count < 0 else []
    if wrong:
        raise InvalidArgument(f"invalid restart policy: maximum retry count {' and '.join(wrong)}")


def _logging(host: HostConfig) -> None:
    log = host.log_config
    if log is not None:
        options.check(log.type or "json-file", log.config or {})


def _ports(config: ContainerConfig, host: HostConfig) -> None:
    """Refuse at once what could not be published at start."""
    for port in config.exposed_ports or ():
        ports.key(port)
    asked = {
        port: [binding.model_dump(by_alias=True) for binding in chosen or ()]
        for port, chosen in (host.port_bindings or {}).items()
    }
    ports.wanted(asked, (), [EVERY_ADDRESS], publish_all=False)


def _runtime(containers: Containers, host: HostConfig) -> None:
    if host.runtime != OWN_RUNTIME and host.runtime not in containers.config.runtimes:
        raise InvalidArgument(f"unknown or invalid runtime name: {host.runtime}")


def _name(containers: Containers, name: str | None) -> str:
    if name:
        plain = name.removeprefix("/")
        names.check(plain if names.valid(plain) else name)
        return plain
    while containers.named(candidate := names.random_name()):
        pass
    return candidate


def _ensure(containers: Containers, undo: ExitStack, point: MountPoint, id_: str) -> MountPoint:
    """Return the mount with its volume made, if it needs one; a volume made here goes again when create fails."""
    if point.type != "volume":
        return point
    volumes = containers.volumes
    known = point.name and volumes.exists(point.name)
    options = dict(point.driver_options)
    volume = volumes.create(point.name or None, point.driver or "local", options, dict(point.labels))
    if not known:
        undo.callback(volumes.remove, volume.name, force=True, in_use=[])
    return MountPoint(**{**vars(point), "name": volume.name, "source": str(volumes.mountpoint(volume.name))})
