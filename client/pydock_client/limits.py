"""The syntax of flags about limits and devices, as wire values: ulimits, throttles, devices, GPUs. Used by options.py.

The words of errors are those of the docker command line.
"""

from __future__ import annotations

from pydock_shared import units
from pydock_shared.errors import InvalidArgument
from pydock_shared.mounts import split_csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)


def parse_ulimit(text: str) -> dict[str, Any]:
    """Return the wire form of `nofile=1024:2048`; one number is both limits, -1 is no limit."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft, hard = _int64(parts[0]), _int64(parts[-1])
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def _int64(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _device_value(text: str) -> tuple[str, str]:
    path, _, value = text.partition(":")
    if not value or ":" in value:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, value


def parse_throttle_bytes(text: str) -> dict[str, Any]:
    """Return the wire form of `/dev/sda:1mb`."""
    path, value = _device_value(text)
    wrong = f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]"
    try:
        rate = units.parse_size(value)
    except InvalidArgument as error:
        raise ValueError(
            f"{wrong}. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ) from error
    return {"Path": path, "Rate": rate}


def parse_throttle_operations(text: str) -> dict[str, Any]:
    """Return the wire form of `/dev/sda:1000`."""
    path, value = _device_value(text)
    if not value.isdigit():
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        )
    return {"Path": path, "Rate": int(value)}


def parse_weight(text: str) -> dict[str, Any]:
    """Return the wire form of `/dev/sda:500`, a weight from 10 to 1000, or 0."""
    path, value = _device_value(text)
    if not value.isdigit() or (int(value) and not 10 <= int(value) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(value)}


def parse_device(text: str) -> dict[str, str]:
    """Return the wire form of `/dev/a[:/dev/b[:rwm]]`."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"invalid device specification: {text}")
    source, target, mode = parts[0], "", "rwm"
    if len(parts) == 3:
        target, mode = parts[1], parts[2]
        if not is_device_mode(mode):
            raise ValueError(f"invalid device mode: {mode}")
    elif len(parts) == 2:
        if is_device_mode(parts[1]):
            mode = parts[1]
        else:
            target = parts[1]
    return {"PathOnHost": source, "PathInContainer": target or source, "CgroupPermissions": mode}


def is_device_mode(text: str) -> bool:
    """Say whether a text is made of r, w and m, each at most once."""
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")


def parse_gpus(text: str) -> dict[str, Any]:
    """Return the wire form of `--gpus all`, `--gpus 2` or `--gpus device=0,capabilities=utility`: a device request."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": {}}
    seen: set[str] = set()
    capabilities: list[str] = []
    for field in split_csv(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", field
        if key in seen:
            raise ValueError(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            capabilities += value.split(",")
        elif key == "options":
            request["Options"] = dict(option.partition("=")[::2] for option in split_csv(value))
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if "count" not in seen and request["DeviceIDs"] is None:
        request["Count"] = 1
    request["Capabilities"] = [capabilities if "gpu" in capabilities else [*capabilities, "gpu"]]
    return request


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'invalid count ({text}): value must be either "all" or an integer: invalid syntax') from None
