"""The files that pydock keeps for a container and binds into it: resolv.conf, hosts, hostname. Used by `start`."""

import os
from pathlib import Path

from .model import Container
from .service import Containers

TARGETS = {"/etc/resolv.conf": "resolv.conf", "/etc/hostname": "hostname", "/etc/hosts": "hosts"}
OF_A_BUILD = {"/etc/resolv.conf": "resolv.conf", "/etc/hosts": "hosts"}


def paths(containers: Containers, container: Container) -> dict[str, str]:
    """Return the host paths by their path inside, of the container whose network it uses."""
    owner = network_owner(containers, container)
    directory = containers.directory(owner)
    targets = OF_A_BUILD if container.in_build else TARGETS
    return {target: str(directory / name) for target, name in targets.items()}


def network_owner(containers: Containers, container: Container) -> Container:
    """Return the container that the network belongs to: itself, or the one of `--network container:`."""
    mode = container.host.network_mode or ""
    return containers.get(mode.removeprefix("container:")) if mode.startswith("container:") else container


def write(directory: Path, name: str, text: str) -> None:
    """Write a file in place, so that a running container that has it bound sees the change."""
    with open(os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w") as file:
        file.write(text)
