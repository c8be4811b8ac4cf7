"""What of a create request this engine does not carry out: fields that are refused by name. Used by `create`.

A field at Docker's own default is fine: clients send all of them. What is not in this table is carried out.
"""

from collections.abc import Callable
from typing import Any

from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.wire.container import ContainerConfig, HostConfig

NAMED_SECURITY_OPTIONS = ("no-new-privileges", "seccomp", "systempaths", "label", "apparmor")


def _unset(value: Any) -> bool:
    return value in (None, "", 0, False, [], {})


def _only(*words: Any) -> Callable[[Any], bool]:
    return lambda value: _unset(value) or value in words


HOST_FIELDS: dict[str, Callable[[Any], bool]] = {
    "Cgroup": _unset,
    "ContainerIDFile": lambda value: True,
    "CpuCount": _unset,
    "CpuPercent": _unset,
    "DeviceRequests": _unset,
    "IOMaximumBandwidth": _unset,
    "IOMaximumIOps": _unset,
    "Isolation": _only("default"),
    "KernelMemory": _unset,
    "Links": _unset,
    "StorageOpt": _unset,
    "UsernsMode": _only("host"),
    "VolumeDriver": _only("local"),
}
CONFIG_FIELDS: dict[str, Callable[[Any], bool]] = {
    "OnBuild": _unset,
}


def check(config: ContainerConfig, host: HostConfig) -> None:
    """Raise NotSupported for the first field that asks for what this engine does not do."""
    for name, value in host.model_dump(by_alias=True).items():
        fine = HOST_FIELDS.get(name)
        if fine and not fine(value):
            raise NotSupported(f"HostConfig.{name} is not supported")
    for name, value in config.model_dump(by_alias=True).items():
        fine = CONFIG_FIELDS.get(name)
        if fine and not fine(value):
            raise NotSupported(f"Config.{name} is not supported")
    _security_options(host.security_opt or [])


def _security_options(options: list[str]) -> None:
    for option in options:
        name, _, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        if name not in NAMED_SECURITY_OPTIONS:
            raise InvalidArgument(f"invalid --security-opt 2: {option!r}")
        if name in ("apparmor", "label") and value not in ("unconfined", "disable"):
            raise NotSupported(f"security option {name} is not supported")
        if name == "no-new-privileges" and value not in ("", "true", "false"):
            raise InvalidArgument(f"invalid --security-opt: {option!r}")
