"""The syntax of `-v`, `--mount` and `--tmpfs` on the command line, as wire values. Used by the client.

The rules and the words of errors are those of the docker command line.
"""

import os

from .errors import InvalidArgument
from .units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_ALONE = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
"""Keys that mean true when they stand without a value."""


def parse_volume(text: str) -> tuple[str, str]:
    """Return what a `-v` value is and goes by: `("bind", spec)` for HostConfig.Binds, `("volume", path)` for Volumes.

    A relative source is made absolute when it starts with a dot; what the rest means is for the daemon to say.
    """
    if not text:
        raise InvalidArgument("invalid empty volume spec")
    parts = text.split(":")
    if len(parts) == 1 or len(text) < 3:
        return "volume", text
    if not all(parts):
        raise InvalidArgument(f"invalid spec: {text}: empty section between colons")
    if len(parts) > 3:
        raise InvalidArgument(f"invalid spec: {text}: too many colons")
    if parts[0].startswith("."):
        parts[0] = os.path.abspath(parts[0])
    return "bind", ":".join(parts)


def parse_tmpfs(text: str) -> tuple[str, str]:
    """Return path and options of a `--tmpfs` value."""
    path, _, options = text.partition(":")
    return path, options


def parse_mount(text: str) -> "dict[str, Any]":
    """Return the wire form of a `--mount` value, an entry of HostConfig.Mounts; InvalidArgument with Docker's words.

    Whether there is such a type of mount, and whether it needs a source, is for the daemon to say.
    """
    mount: dict[str, Any] = {"Type": "volume"}
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals and key not in _ALONE:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        if key not in _KEYS:
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
        path, read = _KEYS[key]
        _put(mount, path, read(key, value if equals else "true"))
    _check(mount)
    return mount


def split_csv(text: str) -> list[str]:
    """Return the fields of one line of comma-separated values; a field with a comma stands in double quotes."""
    if '"' not in text:
        return text.split(",")
    fields: list[str] = []
    rest, more = text, True
    while more:
        if rest.startswith('"'):
            field, rest = _unquote(rest)
            if rest and rest[0] != ",":
                raise InvalidArgument(f'extraneous or missing " in quoted field: {text}')
            more, rest = bool(rest), rest[1:]
        else:
            field, comma, rest = rest.partition(",")
            more = bool(comma)
            if '"' in field:
                raise InvalidArgument(f'bare " in non-quoted field: {text}')
        fields.append(field)
    return fields


def _unquote(text: str) -> tuple[str, str]:
    """Return the field that text starts with, and what follows its closing quote; a doubled quote stands for one."""
    at = 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise InvalidArgument(f'extraneous or missing " in quoted field: {text}')
        if not text.startswith('""', end):
            return text[1:end].replace('""', '"'), text[end + 1 :]
        at = end + 2


def _put(mount: "dict[str, Any]", path: "Iterable[str]", value: object) -> None:
    """Store a value by its path; one that is a table is merged into what is there."""
    *groups, name = path
    for group in groups:
        mount = mount.setdefault(group, {})
    if isinstance(value, dict):
        mount.setdefault(name, {}).update(value)
    else:
        mount[name] = value


def _check(mount: "dict[str, Any]") -> None:
    kind = mount["Type"]
    if not kind:
        raise InvalidArgument("type is required")
    if not mount.get("Target"):
        raise InvalidArgument("target is required")
    for own in ("volume", "image", "bind", "tmpfs"):
        if kind != own and f"{own.capitalize()}Options" in mount:
            raise InvalidArgument(f"cannot mix '{own}-*' options with mount type '{kind}'")
    bind = mount.get("BindOptions", {})
    for name, word in (("ReadOnlyNonRecursive", "writable"), ("ReadOnlyForceRecursive", "readonly")):
        if name in bind and not mount.get("ReadOnly"):
            raise InvalidArgument(
                f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction",
            )
    if "ReadOnlyForceRecursive" in bind and bind.get("Propagation") != "rprivate":
        raise InvalidArgument(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        )


def _text(key: str, value: str) -> str:
    return value


def _lower(key: str, value: str) -> str:
    return value.lower()


def _source(key: str, value: str) -> str:
    return os.path.abspath(value) if value.startswith(".") else value


def _boolean(key: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise InvalidArgument(f"invalid value for {key}: {value}")
    return _BOOLEANS[value]


def _pair(key: str, value: str) -> dict[str, str]:
    name, _, text = value.partition("=")
    return {name: text} if name else {}


def _recursive(key: str, value: str) -> dict[str, bool]:
    if value not in _RECURSIVE:
        raise InvalidArgument(
            f'invalid value for {key}: {value} (must be "enabled", "disabled", "writable", or "readonly")',
        )
    return dict.fromkeys(_RECURSIVE[value], True)


def _size(key: str, value: str) -> int:
    try:
        return parse_size(value)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for {key}: {value}") from error


def _mode(key: str, value: str) -> int:
    if not value or len(value) > 10 or not set(value) <= set("01234567"):
        raise InvalidArgument(f"invalid value for {key}: {value}")
    return int(value, 8)


_RECURSIVE: dict[str, tuple[str, ...]] = {
    "enabled": (),
    "disabled": ("NonRecursive",),
    "writable": ("ReadOnlyNonRecursive",),
    "readonly": ("ReadOnlyForceRecursive",),
}
_KEYS: "dict[str, tuple[tuple[str, ...], Callable[[str, str], object]]]" = {
    "type": (("Type",), _lower),
    "source": (("Source",), _source),
    "src": (("Source",), _source),
    "target": (("Target",), _text),
    "dst": (("Target",), _text),
    "destination": (("Target",), _text),
    "readonly": (("ReadOnly",), _boolean),
    "ro": (("ReadOnly",), _boolean),
    "consistency": (("Consistency",), _lower),
    "bind-propagation": (("BindOptions", "Propagation"), _lower),
    "bind-nonrecursive": (("BindOptions", "NonRecursive"), _boolean),
    "bind-recursive": (("BindOptions",), _recursive),
    "volume-nocopy": (("VolumeOptions", "NoCopy"), _boolean),
    "volume-subpath": (("VolumeOptions", "Subpath"), _text),
    "volume-label": (("VolumeOptions", "Labels"), _pair),
    "volume-driver": (("VolumeOptions", "DriverConfig", "Name"), _text),
    "volume-opt": (("VolumeOptions", "DriverConfig", "Options"), _pair),
    "image-subpath": (("ImageOptions", "Subpath"), _text),
    "tmpfs-size": (("TmpfsOptions", "SizeBytes"), _size),
    "tmpfs-mode": (("TmpfsOptions", "Mode"), _mode),
}
"""Where the value of a key belongs in the wire form, and how it is read."""
