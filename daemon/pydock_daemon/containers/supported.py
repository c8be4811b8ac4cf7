"""What of a create request this engine does not carry out: fields that are refused by name. Used by `create`.

A field at Docker's own default is fine: clients send all of them. What is not in these tables is carried out.
"""

import json
from collections.abc import Callable
from typing import Any

from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.wire.container import HostConfig

SWITCHES = {"no-new-privileges": ("", "true", "false"), "systempaths": ("unconfined",)}
NAMED_SECURITY_OPTIONS = ("no-new-privileges", "seccomp", "systempaths", "label", "apparmor")


def _unset(value: Any) -> bool:
    return value in (None, "", 0, False, [], {})


def _only(*words: Any) -> Callable[[Any], bool]:
    return lambda value: _unset(value) or value in words


HOST_FIELDS: dict[str, Callable[[Any], bool]] = {
    "Cgroup": _unset,
    "ContainerIDFile": lambda value: True,
    "UsernsMode": _only("host"),
}


def _storage(options: dict[str, str]) -> str:
    unknown = sorted(set(options) - {"size"})
    if unknown:
        return f"Unknown option {unknown[0]}"
    return "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"


# What dockerd refuses as well, on a host such as ours, and its words for it.
WORDS: dict[str, Callable[[Any], str]] = {
    "IOMaximumBandwidth": lambda value: (
        "Invalid QoS settings: linux does not support configuration of maximum bandwidth"
    ),
    "IOMaximumIOps": lambda value: "Invalid QoS settings: linux does not support configuration of maximum IOPs",
    "Isolation": lambda value: f"Invalid isolation: {json.dumps(value)} - linux only supports 'default'",
    "StorageOpt": _storage,
}


def check(host: HostConfig) -> None:
    """Raise NotSupported for the first field that asks for what this engine does not do."""
    for name, value in host.model_dump(by_alias=True).items():
        if name in WORDS and not _unset(value) and value != "default":
            raise InvalidArgument(WORDS[name](value))
        fine = HOST_FIELDS.get(name)
        if fine and not fine(value):
            raise NotSupported(f"HostConfig.{name} is not supported")
    _security_options(host.security_opt or [])


def _security_options(options: list[str]) -> None:
    for option in options:
        name, equals, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if name not in NAMED_SECURITY_OPTIONS or not (equals or name == "no-new-privileges"):
            raise InvalidArgument(f"invalid --security-opt {2 if equals else 1}: {json.dumps(option)}")
        if name in ("apparmor", "label") and value not in ("unconfined", "disable"):
            raise NotSupported(f"security option {name} is not supported")
        if value not in SWITCHES.get(name, (value,)):
            raise InvalidArgument(f"invalid --security-opt 2: {json.dumps(option)}")
