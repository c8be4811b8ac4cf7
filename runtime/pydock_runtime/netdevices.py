"""`linux.netDevices`: interfaces of the host that the container has for itself. Used by `launch`, before init goes on.

When the network namespace goes, the kernel gives hardware back to the host, and destroys what is virtual. Source: OCI
runtime-spec 1.3, config-linux.md, "Network Devices"; the words of errors are runc's.
"""

from __future__ import annotations

import os
import socket
import struct

from pydock_runtime import interfaces, rtnetlink
from pydock_runtime.errors import INVALID, RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_runtime.namespaces import Plan

    Devices = dict[str, dict[str, Any]]

LONGEST = 15  # bytes of an interface's name: IFNAMSIZ less the NUL
IFLA_NET_NS_FD = 28


def check(devices: Devices, plan: Plan) -> None:
    """Raise RuntimeFailure for devices that cannot be moved."""
    if not devices:
        return
    if plan.path("network") is None and not plan.owns("network"):
        raise RuntimeFailure("unable to move network devices without a NET namespace", INVALID)
    for name, device in devices.items():
        for word in (name, new_name(name, device)):
            if not _is_name(word):
                raise RuntimeFailure(f"invalid network device name {word!r}", INVALID)


def new_name(name: str, device: dict[str, Any] | None) -> str:
    """Return what a device is called in the container."""
    return (device or {}).get("name") or name


def _is_name(word: Any) -> bool:
    # dev_valid_name() of the kernel
    if not isinstance(word, str) or word in ("", ".", "..") or len(os.fsencode(word)) > LONGEST:
        return False
    return not any(letter in "/:" or letter.isspace() for letter in word)


def move(devices: Devices, namespace: str) -> None:
    """Move devices into the network namespace at a path, and have them up, with the addresses that were given them.

    RuntimeFailure says which could not be moved; those before it are the container's.
    """
    target = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = [(name, new_name(name, device), _index(name)) for name, device in devices.items()]
        interfaces.configure(target, [_move(*one, target) for one in found])
    finally:
        os.close(target)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise RuntimeFailure(f"link not found for interface {name} on runtime namespace", INVALID) from error


def _move(name: str, called: str, index: int, target: int) -> dict[str, Any]:
    """Move a device; return it as netconf configures it there."""
    # Before it is down: then addresses of IPv6 are lost. Moving takes away the others.
    addresses = rtnetlink.lasting_addresses(index)
    named = (rtnetlink.IFLA_IFNAME, os.fsencode(called) + b"\0")
    # Both in one step: the name may be somebody else's on this side, or on that.
    moving = rtnetlink.link(index, attributes=[named, (IFLA_NET_NS_FD, struct.pack("=I", target))])
    for code in rtnetlink.exchange([rtnetlink.link(index, up=False), moving]):
        if code:
            why = os.strerror(code).lower()
            raise RuntimeFailure(f"fail to move network device {name} to network namespace as {called}: {why}")
    return {"link": called, "addresses": addresses}
