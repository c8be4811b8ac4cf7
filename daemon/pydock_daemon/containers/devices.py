"""Devices of the host that a container gets: `--device`, and all of them with `--privileged`. Used by `start`."""

import json
import os
import re
import stat
from typing import Any

from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.wire.container import HostConfig

CDI = "cdi"
"""The driver of devices that are asked for by name."""
# Of a container's own /dev, never the host's.
OWN = ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/fd")
RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")


def resolve(host: HostConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the devices in OCI form (with `access` and `source`), and the further rules for the device cgroup.

    PydockError names what there is not: with the request to start a container nothing is wrong, as dockerd has it.
    Requests to device drivers (`--gpus`) are refused here, as by a dockerd that has none of the drivers.
    """
    for request in host.device_requests or ():
        if request.driver == CDI:
            continue
        alternatives = " ".join(f"[{' '.join(names)}]" for names in request.capabilities or ())
        raise PydockError(
            f"could not select device driver {json.dumps(request.driver or '')} with capabilities: [{alternatives}]"
        )
    if host.privileged:
        return _everything(), []
    found = []
    for device in host.devices or ():
        path = device.path_on_host or ""
        found += _device(path, device.path_in_container or path, device.cgroup_permissions or "rwm")
    return found, [_rule(text) for text in host.device_cgroup_rules or ()]


def by_name(host: HostConfig) -> list[str]:
    """Return the names of the devices that files of vendors describe (CDI)."""
    names: list[str] = []
    for request in host.device_requests or ():
        if request.driver != CDI:
            continue
        for field, value in (("count", request.count), ("options", request.options)):
            if value:
                raise InvalidArgument(f"unexpected {field} in CDI device request")
        names += request.device_ids or ()
    return names


# Attribute of the request -> list of OCI's `blockIO`, and the key of its number
BLOCK = (
    ("blkio_weight_device", "weightDevice", "weight"),
    ("blkio_device_read_bps", "throttleReadBpsDevice", "rate"),
    ("blkio_device_write_bps", "throttleWriteBpsDevice", "rate"),
    ("blkio_device_read_iops", "throttleReadIOPSDevice", "rate"),
    ("blkio_device_write_iops", "throttleWriteIOPSDevice", "rate"),
)


def block_limits(host: HostConfig) -> dict[str, list[dict[str, int]]]:
    """Return the limits of block devices in OCI form; InvalidArgument names a device that is not there."""
    found: dict[str, list[dict[str, int]]] = {}
    for attribute, name, key in BLOCK:
        for limit in getattr(host, attribute) or ():
            try:
                info = os.stat(limit.path)
            except OSError as error:
                raise InvalidArgument(f"stat {limit.path}: no such file or directory") from error
            if not stat.S_ISBLK(info.st_mode):
                raise InvalidArgument(f"{limit.path}: not a block device")
            number = {"major": os.major(info.st_rdev), "minor": os.minor(info.st_rdev), key: getattr(limit, key)}
            found.setdefault(name, []).append(number)
    return found


def _device(source: str, target: str, access: str) -> list[dict[str, Any]]:
    if not set(access) <= set("rwm"):
        raise InvalidArgument(f"invalid device mode: {access}")
    if os.path.isdir(source):
        return [
            entry
            for name in sorted(os.listdir(source))
            for entry in _device(os.path.join(source, name), os.path.join(target, name), access)
        ]
    try:
        info = os.stat(source)
    except OSError as error:
        raise PydockError(
            f'error gathering device information while adding custom device "{source}": no such file or directory'
        ) from error
    entry = _entry(target, info, access)
    if entry is None:
        raise PydockError(
            f'error gathering device information while adding custom device "{source}": not a device node'
        )
    return [entry | {"source": source}]


def _entry(path: str, info: os.stat_result, access: str) -> dict[str, Any] | None:
    kind = "c" if stat.S_ISCHR(info.st_mode) else "b" if stat.S_ISBLK(info.st_mode) else None
    if kind is None:
        return None
    return {
        "path": path,
        "type": kind,
        "major": os.major(info.st_rdev),
        "minor": os.minor(info.st_rdev),
        "fileMode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        "access": access,
    }


def _everything() -> list[dict[str, Any]]:
    found = []
    for directory, subdirectories, names in os.walk("/dev"):
        subdirectories[:] = [name for name in subdirectories if os.path.join(directory, name) not in OWN]
        for path in (os.path.join(directory, name) for name in names):
            if path in OWN or os.path.islink(path):
                continue
            entry = _entry(path, os.stat(path), "rwm")
            if entry:
                found.append(entry)
    return found


def _rule(text: str) -> dict[str, Any]:
    match = RULE.fullmatch(text)
    if not match:
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
    type_, major, minor, access = match.groups()
    rule: dict[str, Any] = {"allow": True, "type": type_, "access": access}
    rule |= {key: int(value) for key, value in (("major", major), ("minor", minor)) if value != "*"}
    return rule
