"""The syntax of `--mount` and `--tmpfs` on the command line, as wire values. Used by the client.

`-v` travels as it is written (HostConfig.Binds) after its relative source is made absolute.
"""

import csv
import os
from typing import Any

from .errors import InvalidArgument
from .units import parse_size

TYPES = ("bind", "volume", "tmpfs", "image", "npipe", "cluster")
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


def parse_volume(text: str) -> tuple[str, str] | str:
    """Return `("bind", spec)` of a `-v` value with a source, or the path of an anonymous volume."""
    parts = text.split(":")
    if any(not part for part in parts[:2]) or len(parts) > 3:
        raise InvalidArgument(f"invalid spec: {text}: empty section between colons")
    if len(parts) == 1:
        return text
    source = parts[0]
    if source.startswith((".", "~")) or "/" in source:
        parts[0] = os.path.abspath(os.path.expanduser(source))
    return "bind", ":".join(parts)


def parse_tmpfs(text: str) -> tuple[str, str]:
    """Return path and options of a `--tmpfs` value."""
    path, _, options = text.partition(":")
    return path, options


def parse_mount(text: str) -> dict[str, Any]:
    """Return the wire form of a `--mount` value; InvalidArgument with Docker's words."""
    mount: dict[str, Any] = {"Type": "volume"}
    for field in next(csv.reader([text]), []):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            if key not in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive"):
                raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        if key not in _FIELDS:
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
        _FIELDS[key](mount, key, value)
    if mount["Type"] not in TYPES:
        raise InvalidArgument(f"unknown mount type: {mount['Type']}")
    if not mount.get("Target"):
        raise InvalidArgument("target is required")
    for options, kind in (("VolumeOptions", "volume"), ("BindOptions", "bind"), ("TmpfsOptions", "tmpfs")):
        if options in mount and mount["Type"] != kind:
            raise InvalidArgument(f"cannot mix '{kind}-*' options with mount type '{mount['Type']}'")
    return mount


def _bool(key: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise InvalidArgument(f"invalid value for {key}: {value}")


def _type(mount: dict[str, Any], key: str, value: str) -> None:
    mount["Type"] = value.lower()


def _source(mount: dict[str, Any], key: str, value: str) -> None:
    mount["Source"] = os.path.abspath(value) if value.startswith(".") else value


def _target(mount: dict[str, Any], key: str, value: str) -> None:
    mount["Target"] = value


def _readonly(mount: dict[str, Any], key: str, value: str) -> None:
    mount["ReadOnly"] = _bool(key, value)


def _consistency(mount: dict[str, Any], key: str, value: str) -> None:
    mount["Consistency"] = value.lower()


def _propagation(mount: dict[str, Any], key: str, value: str) -> None:
    mount.setdefault("BindOptions", {})["Propagation"] = value.lower()


def _nonrecursive(mount: dict[str, Any], key: str, value: str) -> None:
    mount.setdefault("BindOptions", {})["NonRecursive"] = _bool(key, value)


def _bind_recursive(mount: dict[str, Any], key: str, value: str) -> None:
    fields = {
        "enabled": {},
        "disabled": {"NonRecursive": True},
        "writable": {"ReadOnlyNonRecursive": True},
        "readonly": {"ReadOnlyForceRecursive": True},
    }
    if value not in fields:
        raise InvalidArgument(
            f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or "readonly")'
        )
    mount.setdefault("BindOptions", {}).update(fields[value])


def _nocopy(mount: dict[str, Any], key: str, value: str) -> None:
    mount.setdefault("VolumeOptions", {})["NoCopy"] = _bool(key, value)


def _subpath(mount: dict[str, Any], key: str, value: str) -> None:
    mount.setdefault("VolumeOptions", {})["Subpath"] = value


def _volume_label(mount: dict[str, Any], key: str, value: str) -> None:
    name, _, text = value.partition("=")
    mount.setdefault("VolumeOptions", {}).setdefault("Labels", {})[name] = text


def _driver(mount: dict[str, Any], key: str, value: str) -> None:
    mount.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})["Name"] = value


def _driver_option(mount: dict[str, Any], key: str, value: str) -> None:
    name, _, text = value.partition("=")
    driver = mount.setdefault("VolumeOptions", {}).setdefault("DriverConfig", {})
    driver.setdefault("Options", {})[name] = text


def _tmpfs_size(mount: dict[str, Any], key: str, value: str) -> None:
    mount.setdefault("TmpfsOptions", {})["SizeBytes"] = parse_size(value)


def _tmpfs_mode(mount: dict[str, Any], key: str, value: str) -> None:
    try:
        mount.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
    except ValueError as error:
        raise InvalidArgument(f"invalid value for {key}: {value}") from error


_FIELDS = {
    "type": _type,
    "source": _source,
    "src": _source,
    "target": _target,
    "dst": _target,
    "destination": _target,
    "readonly": _readonly,
    "ro": _readonly,
    "consistency": _consistency,
    "bind-propagation": _propagation,
    "bind-nonrecursive": _nonrecursive,
    "bind-recursive": _bind_recursive,
    "volume-nocopy": _nocopy,
    "volume-subpath": _subpath,
    "volume-label": _volume_label,
    "volume-driver": _driver,
    "volume-opt": _driver_option,
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}
