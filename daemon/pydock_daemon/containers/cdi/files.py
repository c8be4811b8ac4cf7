"""The files of CDI: what they may say, and which devices they name. Used by `start` and `GET /info`.

A file that is wrong is left out, and so is a device that two files of one folder describe; a later folder goes before
an earlier one. Asking for such a device fails, and the log says why.
"""

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

log = logging.getLogger("pydockd.cdi")
LARGEST = 4 << 20
"""Bytes of a file that is read."""
VENDOR, CLASS = r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?", r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?"
QUALIFIED = re.compile(f"{VENDOR}/{CLASS}={NAME}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DeviceNode(_Part):
    """A device node; what is not said of it is asked of the host's one."""

    path: str = Field(pattern="^/")
    host_path: str = Field("", alias="hostPath")
    type: str = Field("", pattern="^[bcup]?$")
    major: int = 0
    minor: int = 0
    file_mode: int | None = Field(None, alias="fileMode")
    permissions: str = Field("", pattern="^[rwm]*$")
    uid: int | None = None
    gid: int | None = None


class Mount(_Part):
    """A mount, a bind mount unless it says otherwise."""

    host_path: str = Field(alias="hostPath", min_length=1)
    container_path: str = Field(alias="containerPath", pattern="^/")
    type: str = ""
    options: list[str] = []


class Hook(_Part):
    """A program of the host that is run at a point of the container's life."""

    name: str = Field(
        alias="hookName", pattern="^(prestart|createRuntime|createContainer|startContainer|post(start|stop))$"
    )
    path: str = Field(pattern="^/")
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = Field(None, gt=0)


class IntelRdt(_Part):
    """Shares of caches and memory bandwidth, as the runtime-spec has them."""

    clos_id: str = Field("", alias="closID", max_length=4095, pattern="^([^/\n]*[^./\n][^/\n]*|[.]{3,})?$")
    l3_cache_schema: str = Field("", alias="l3CacheSchema")
    mem_bw_schema: str = Field("", alias="memBwSchema")
    schemata: list[str] = []
    enable_monitoring: bool = Field(False, alias="enableMonitoring")
    enable_cmt: bool = Field(False, alias="enableCMT")
    enable_mbm: bool = Field(False, alias="enableMBM")


class NetDevice(_Part):
    """An interface of the host that the container has for itself, under another name."""

    host_interface_name: str = Field(alias="hostInterfaceName", min_length=1)
    name: str = Field(min_length=1)


class Edits(_Part):
    """What a container is given."""

    env: list[str] = []
    device_nodes: list[DeviceNode] = Field([], alias="deviceNodes")
    mounts: list[Mount] = []
    hooks: list[Hook] = []
    additional_gids: list[int] = Field([], alias="additionalGids")
    intel_rdt: IntelRdt | None = Field(None, alias="intelRdt")
    net_devices: list[NetDevice] = Field([], alias="netDevices")


class Device(_Part):
    """A device of the file's kind."""

    name: str = Field(pattern=f"^{NAME}$")
    annotations: dict[str, str] = {}
    edits: Edits = Field(alias="containerEdits")


class Description(_Part):
    """A file: devices of one kind, and what everyone who gets one of them is given as well."""

    version: str = Field(alias="cdiVersion", pattern=r"^(0\.[3-9]|1\.[0-9])\.[0-9]+$")
    kind: str = Field(pattern=f"^{VENDOR}/{CLASS}$")
    annotations: dict[str, str] = {}
    devices: list[Device] = Field(min_length=1)
    edits: Edits = Field(default_factory=lambda: Edits.model_validate({}), alias="containerEdits")


class Found(NamedTuple):
    """A device and the file that describes it."""

    file: Description
    device: Device


def load(folders: Iterable[Path]) -> dict[str, Found]:
    """Return the devices that the files of these folders describe, by their whole names."""
    known: dict[str, Found] = {}
    for folder in folders:
        here: dict[str, Found] = {}
        twice = set()
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            described = _read(path) if path.suffix in (".json", ".yaml") else None
            for device in described.devices if described else ():
                name = f"{described.kind}={device.name}" if described else ""
                if name in here:
                    log.warning("%s is described by more than one file of %s", name, folder)
                    twice.add(name)
                elif described:
                    here[name] = Found(described, device)
        known |= here
        for name in twice:
            del known[name]
    return known


def _read(path: Path) -> Description | None:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        return Description.model_validate(_parsed(path, data))
    except ValidationError as error:
        first = error.errors()[0]
        log.warning("%s: %s: %s", path, ".".join(map(str, first["loc"])), first["msg"])
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s: %s", path, error)
    return None


def _parsed(path: Path, data: bytes) -> Any:
    if path.suffix == ".json":
        return json.loads(data)
    import yaml  # whoever has no such file does not pay for it

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
