"""Namespace modes (`--network`, `--pid`, `--ipc`, `--uts`, `--cgroupns`): which are known, and whom one is shared with.

Used by `create` (is the word known, does the container exist) and by `start` (whose namespace, as a process).
"""

from pydock_shared.errors import Conflict, InvalidArgument
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
    """Raise InvalidArgument for an unknown mode. Whether another container exists shows at start, as in Docker."""
    for name, attribute, own, shareable in MODES:
        mode = getattr(host, attribute) or ""
        if not (shareable and mode.startswith("container:")) and mode not in own and mode != "host":
            raise InvalidArgument(f"invalid {name.upper()} mode: {mode}")
    mode = host.network_mode or ""
    if mode.startswith("container:") and (host.port_bindings or host.publish_all_ports):
        raise InvalidArgument("conflicting options: port publishing and the container type network mode")


def shared(containers: Containers, container: Container) -> dict[str, int]:
    """Return the process whose namespace is joined, by OCI namespace type; 1 stands for the host's."""
    result = {}
    for name, attribute, _, _ in MODES:
        mode = getattr(container.host, attribute) or ""
        if mode == "host":
            result[name] = 1
        elif mode.startswith("container:"):
            result[name] = _process(containers, mode, name)
    mode = container.host.network_mode or ""
    if mode == "host":
        result["network"] = 1
    elif mode.startswith("container:"):
        result["network"] = _process(containers, mode, "network")
    return result


def _process(containers: Containers, mode: str, name: str) -> int:
    other = containers.get(mode.removeprefix("container:"))
    if not other.alive:
        raise Conflict(f"cannot join {name} namespace of a non running container: {other.id}")
    return other.state.pid
