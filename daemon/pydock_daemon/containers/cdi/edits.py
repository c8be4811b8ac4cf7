"""What devices of CDI change of a container's OCI configuration. Used by `start`, in a thread."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydock_shared.errors import InvalidArgument, PydockError

from .files import DeviceNode, Edits, Found, Mount, load

FAILED = "CDI device injection failed: "
TYPES = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}


def apply(spec: dict[str, Any], names: Sequence[str], folders: Sequence[Path]) -> None:
    """Give a container devices by their names; the words of errors are those of CDI's own library."""
    known = load(folders)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidArgument(f"{FAILED}unresolvable CDI devices {', '.join(unknown)}")
    chosen = [known[name] for name in dict.fromkeys(names)]
    for edits in _in_order(chosen):
        _apply(spec, edits)


def _in_order(chosen: list[Found]) -> list[Edits]:
    """Return the edits of the devices, before the first of a file those of the file."""
    found: list[Edits] = []
    seen: list[int] = []
    for file, device in chosen:
        if id(file) not in seen:
            seen.append(id(file))
            found.append(file.edits)
        found.append(device.edits)
    return found


def _apply(spec: dict[str, Any], edits: Edits) -> None:
    process, user = spec["process"], spec["process"]["user"]
    given = {entry.partition("=")[0] for entry in edits.env}
    process["env"] = [entry for entry in process["env"] if entry.partition("=")[0] not in given] + edits.env
    if edits.additional_gids:
        wanted = [str(gid) for gid in edits.additional_gids if gid]
        user["groups"] = list(dict.fromkeys([*(user.get("groups") or ()), *wanted]))
    for node in edits.device_nodes:
        _add_node(spec, node)
    for mount in edits.mounts:
        _add_mount(spec, mount)
    for hook in edits.hooks:
        entry = hook.model_dump(exclude={"name"}, exclude_none=True, exclude_defaults=True)
        spec.setdefault("hooks", {}).setdefault(hook.name, []).append(entry)
    if edits.intel_rdt is not None:
        spec["linux"]["intelRdt"] = edits.intel_rdt.model_dump(by_alias=True, exclude_defaults=True)
    for device in edits.net_devices:
        spec["linux"].setdefault("netDevices", {})[device.host_interface_name] = {"name": device.name}


def _add_node(spec: dict[str, Any], node: DeviceNode) -> None:
    kind, major, minor = node.type, node.major, node.minor
    if not kind or (not major and kind != "p"):
        kind, major, minor = _of_host(node)
    uid, gid = _owner(spec, node)
    device: dict[str, Any] = {"path": node.path, "type": kind, "uid": uid, "gid": gid}
    if kind != "p":
        device |= {"major": major, "minor": minor, "source": node.host_path or node.path}
    if node.file_mode is not None:
        device["fileMode"] = node.file_mode
    linux = spec["linux"]
    linux["devices"] = [other for other in linux.get("devices") or () if other["path"] != node.path] + [device]
    if kind != "p":
        rule = {"allow": True, "type": kind.replace("u", "c"), "major": major, "minor": minor}
        rules = linux["resources"].setdefault("devices", [])
        rules.append(rule | {"access": node.permissions or "rwm"})


def _of_host(node: DeviceNode) -> tuple[str, int, int]:
    path = node.host_path or node.path
    try:
        info = os.stat(path, follow_symlinks=False)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise PydockError(f'{FAILED}failed to stat CDI host device "{path}": {reason}') from error
    kind = TYPES.get(stat.S_IFMT(info.st_mode))
    if kind is None:
        raise PydockError(f'{FAILED}failed to stat CDI host device "{path}": not a device node')
    if node.type and node.type.replace("u", "c") != kind:
        raise PydockError(f'{FAILED}CDI device ("{node.path}", "{path}"), host type mismatch ({node.type}, {kind})')
    return kind, os.major(info.st_rdev), os.minor(info.st_rdev)


def _owner(spec: dict[str, Any], node: DeviceNode) -> tuple[int, int]:
    """Return whose a node is: where nothing is said the user's, if that is a number."""
    user, _, group = str(spec["process"]["user"].get("username", "")).partition(":")
    uid = node.uid if node.uid is not None else int(user) if user.isdigit() else 0
    gid = node.gid if node.gid is not None else int(group) if group.isdigit() else 0
    return uid, gid


def _add_mount(spec: dict[str, Any], mount: Mount) -> None:
    entry = {
        "destination": mount.container_path,
        "source": mount.host_path,
        "type": mount.type or "bind",
        "options": mount.options or ["rbind", "rprivate"],
    }
    spec["mounts"] = [other for other in spec["mounts"] if other["destination"] != mount.container_path] + [entry]
