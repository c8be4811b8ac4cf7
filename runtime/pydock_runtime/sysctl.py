"""`linux.sysctl`: kernel parameters of the container's own namespaces. Used by `init`."""

from __future__ import annotations

import os

from pydock_runtime.errors import INVALID, RuntimeFailure, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydock_runtime.namespaces import Plan

IPC = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)


def check(settings: dict[str, str], plan: Plan) -> None:
    """Raise RuntimeFailure for a parameter that is not of a namespace the container has for itself."""
    for name in settings:
        plain = name.replace("/", ".")
        if plain in IPC or plain.startswith("fs.mqueue."):
            owner = "ipc"
        elif plain.startswith("net."):
            owner = "network"
        elif plain == "kernel.hostname":
            conflict = f'sysctl "{name}" is not allowed as it conflicts with the OCI "hostname" field'
            raise RuntimeFailure(conflict, INVALID)
        elif plain == "kernel.domainname":
            owner = "uts"
        else:
            raise RuntimeFailure(f'sysctl "{name}" is not in a separate kernel namespace', INVALID)
        if not plan.owns(owner):
            raise RuntimeFailure(f'sysctl "{name}" not allowed in host {owner} namespace', INVALID)


def apply(settings: dict[str, str]) -> None:
    """Write the parameters below /proc/sys of the host, which shows a process the values of its own namespaces."""
    for name, value in settings.items():
        path = "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, os.fsencode(value))
            finally:
                os.close(fd)
        except FileNotFoundError as error:
            raise RuntimeFailure(f"open {path}: {reason(error)}", INVALID) from error
        except OSError as error:
            raise RuntimeFailure(f"sysctl {name}={value}: {reason(error)}") from error
