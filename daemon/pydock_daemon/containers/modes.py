"""Namespace modes (`--network`, `--pid`, `--ipc`, `--uts`, `--cgroupns`): which are known, and whom one is shared with.

Used by `create` (is the word known, does the container exist) and by `start` (whose namespace, as a process).
"""

from pydock_shared.errors import Conflict, InvalidArgument, NotFound, PydockError
from pydock_shared.wire.container import HostConfig

from .model import Container
from .service import Containers

# OCI namespace -> attribute of HostConfig, words that mean "of its own", may it be another container's
MODES: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("pid", "pid_mode", ("", "private"), True),
    ("ipc", "ipc_mode", ("", "private", "shareable", "none"), True),
    ("uts", "uts_mode", ("", "private"), False),
    ("cgroup", "cgroupns_mode", ("", "private"), False),
)


def check(containers: Containers, host: HostConfig) -> None:
    """Raise InvalidArgument for an unknown mode, or a container that does not exist.

    Whether one whose network is joined exists shows at start, as in Docker.
    """
    for name, attribute, own, shareable in MODES:
        mode = getattr(host, attribute) or ""
        if shareable and mode.startswith("container:"):
            try:
                containers.get(mode.removeprefix("container:"))
            except NotFound as error:
                raise InvalidArgument(error.message) from error
        elif mode not in own and mode != "host":
            raise InvalidArgument(f"invalid {name.upper()} mode: {mode}")
    mode = host.network_mode or ""
    if mode.startswith("container:") and (host.port_bindings or host.publish_all_ports):
        raise InvalidArgument("conflicting options: port publishing and the container type network mode")


def shared(containers: Containers, container: Container) -> dict[str, int]:
    """Return the process whose namespace is joined, by OCI namespace type; 1 stands for the host's.

    Words and kinds of what is wrong with the other container are dockerd's, which are different for each.
    """
    host = container.host
    modes = [(name, getattr(host, attribute)) for name, attribute, _, _ in MODES] + [("network", host.network_mode)]
    result = {}
    for name, mode in modes:
        if mode == "host":
            result[name] = 1
        elif (mode or "").startswith("container:"):
            other = containers.get(mode.removeprefix("container:"))
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
