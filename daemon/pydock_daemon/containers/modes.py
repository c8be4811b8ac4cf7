"""Namespace modes (`--network`, `--pid`, `--ipc`, `--uts`, `--cgroupns`): which are known, and whom one is shared with.

Used by `create` (is the word known, does the container exist) and by `start` (whose namespace, as a process).
"""

import contextlib

from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError
from pydock_shared.wire.container import ContainerConfig, HostConfig

from .model import Container
from .service import Containers

# OCI namespace -> attribute of HostConfig, words that mean "of its own", may it be another container's, Docker's name
MODES: tuple[tuple[str, str, tuple[str, ...], bool, str], ...] = (
    ("pid", "pid_mode", ("",), True, "PID mode"),
    ("ipc", "ipc_mode", ("", "private", "shareable", "none"), True, "IPC mode"),
    ("uts", "uts_mode", ("",), False, "UTS mode"),
    ("cgroup", "cgroupns_mode", ("", "private"), False, "cgroup namespace mode"),
)
OF_ANOTHER = "container:"
# What goes with no other container's network: attribute of the request, and Docker's name for it.
WITHOUT_NETWORK = (
    ("hostname", "hostname and the network mode"),
    ("dns", "dns and the network mode"),
    ("extra_hosts", "custom host-to-IP mapping and the network mode"),
    ("port_bindings", "port publishing and the container type network mode"),
    ("publish_all_ports", "port publishing and the container type network mode"),
    ("exposed_ports", "port exposing and the container type network mode"),
)


def conflicts(config: ContainerConfig, host: HostConfig) -> None:
    """Raise InvalidArgument for modes that contradict other settings of a request (moby, `validateNetMode`)."""
    mode = host.network_mode or ""
    if mode == OF_ANOTHER:
        raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    for attribute, what in WITHOUT_NETWORK if mode.startswith(OF_ANOTHER) else ():
        if getattr(config, attribute, None) or getattr(host, attribute, None):
            raise InvalidArgument(f"conflicting options: {what}")
    if host.uts_mode == "host" and config.hostname:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")


def settle(containers: Containers, host: HostConfig) -> None:
    """Write the ids of other containers into the modes, where these have their names: they may be called otherwise."""
    for attribute in ("network_mode", "pid_mode", "ipc_mode"):
        mode = getattr(host, attribute) or ""
        if mode.startswith(OF_ANOTHER) and mode != OF_ANOTHER:
            with contextlib.suppress(NotFound):
                setattr(host, attribute, OF_ANOTHER + containers.get(mode.removeprefix(OF_ANOTHER)).id)


def check(containers: Containers, host: HostConfig) -> None:
    """Raise InvalidArgument for an unknown mode, or a container that does not exist.

    Whether one whose network is joined exists shows at start, as in Docker.
    """
    for _, attribute, own, shareable, what in MODES:
        mode = getattr(host, attribute) or ""
        if shareable and mode.startswith(OF_ANOTHER) and mode != OF_ANOTHER:
            try:
                containers.get(mode.removeprefix(OF_ANOTHER))
            except NotFound as error:
                raise InvalidArgument(error.message) from error
        elif mode not in own and mode != "host":
            raise InvalidArgument(f"invalid {what}: {mode}")


def shared(containers: Containers, container: Container) -> dict[str, int]:
    """Return the process whose namespace is joined, by OCI namespace type; 1 stands for the host's.

    Words and kinds of what is wrong with the other container are dockerd's, which are different for each.
    """
    host = container.host
    modes = [(name, getattr(host, attribute)) for name, attribute, *_ in MODES] + [("network", host.network_mode)]
    result = {}
    for name, mode in modes:
        if mode == "host":
            result[name] = 1
        elif (mode or "").startswith(OF_ANOTHER):
            other = containers.get(mode.removeprefix(OF_ANOTHER))
            JOINED[name](other)
            result[name] = other.state.pid
    return result


def _pid(other: Container) -> None:
    if not other.alive:
        raise PydockError(f"failed to join PID namespace: container {other.id} is not running")


def _ipc(other: Container) -> None:
    if not other.alive:
        raise Conflict(f"failed to join IPC namespace: container {other.id} is not running")
    if other.host.ipc_mode in ("", "private", "none"):
        hint = "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        raise InvalidArgument(f"failed to join IPC namespace: container {other.id}: {hint}")


def _network(other: Container) -> None:
    if not other.alive:
        raise Conflict(f"cannot join network of a non running container: {other.id}")


JOINED = {"pid": _pid, "ipc": _ipc, "network": _network}
