"""A container as Docker's JSON: the summary of `GET /containers/json` and the whole of `GET /containers/{id}/json`.

Used by api.containers. Pure views over the record; the network part comes from the networks service.
"""

import os
import time
from typing import Any

from pydock_daemon.images import manifests
from pydock_shared.times import NEVER, rfc3339
from pydock_shared.units import format_ago

from . import links
from .model import Container, Health, MountPoint, Status
from .service import Containers
from .spec import MASKED_PATHS, READONLY_PATHS


def status_text(container: Container) -> str:
    """Return the words of `docker ps` for the state: `Up 3 seconds`, `Exited (0) 2 minutes ago`."""
    state, now = container.state, time.time_ns()
    match state.status:
        case Status.RUNNING:
            up = f"Up {format_ago((now - state.started_at) / 1e9)}"
            word = state.health.status if state.health else ""
            return f"{up} ({'health: starting' if word == 'starting' else word})" if word else up
        case Status.PAUSED:
            return f"Up {format_ago((now - state.started_at) / 1e9)} (Paused)"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {format_ago((now - state.finished_at) / 1e9)} ago"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.CREATED:
            return "Created"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {format_ago((now - state.finished_at) / 1e9)} ago"


def sizes(containers: Containers, container: Container, written: int) -> dict[str, int]:
    """Return what Docker says of the sizes of a container that has written some bytes."""
    image = containers.images.get(container.image)
    return {"SizeRw": written, "SizeRootFs": written + (image.size if image else 0)}


def summary(containers: Containers, container: Container) -> dict[str, Any]:
    """Return an element of `GET /containers/json`."""
    config, host = container.config, container.host
    return {
        "Id": container.id,
        "Names": links.names(containers, container),
        "Image": container.image_name,
        "ImageID": container.image,
        "Command": command_text([*(config.entrypoint or ()), *(config.cmd or ())]),
        "Created": container.created // 1_000_000_000,
        "Ports": ports(container),
        "Labels": config.labels or {},
        "State": container.state.status.value,
        "Status": status_text(container),
        "HostConfig": {"NetworkMode": host.network_mode or "default"},
        "NetworkSettings": {"Networks": containers.networks.settings(container.id, container.endpoints)},
        "Mounts": mounts(container),
        "Health": {
            "Status": container.state.health.status if container.state.health else "none",
            "FailingStreak": container.state.health.streak if container.state.health else 0,
        },
        **_manifest(containers, container),
    }


def _manifest(containers: Containers, container: Container) -> dict[str, Any]:
    """Return the manifest of the image as a field, none when the image is gone."""
    image = containers.images.get(container.image)
    return {"ImageManifestDescriptor": manifests.of_platform(containers.images, image)} if image else {}


def command_text(args: list[str]) -> str:
    """Join a command as Docker does: arguments with spaces are quoted."""
    return " ".join(f"'{arg}'" if " " in arg else arg for arg in args)


def ports(container: Container) -> list[dict[str, Any]]:
    """Return the ports of a summary: published ones with their host side, exposed ones without."""
    found: list[dict[str, Any]] = []
    for key, bindings in (container.state.ports if container.alive else {}).items():
        number, _, protocol = key.partition("/")
        base = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        for binding in bindings or ():
            found.append({"IP": binding["HostIp"], **base, "PublicPort": int(binding["HostPort"])})
        if not bindings:
            found.append(base)
    return found


def mounts(container: Container) -> list[dict[str, Any]]:
    """Return the mounts as both forms show them: those of HostConfig.Tmpfs are in there only."""
    hidden = {os.path.normpath(target) for target in container.host.tmpfs or ()}
    return [mount(point) for point in container.mounts if point.type != "tmpfs" or point.target not in hidden]


def mount(point: MountPoint) -> dict[str, Any]:
    """Return a mount as both forms show it."""
    shown: dict[str, Any] = {"Type": point.type}
    if point.name:
        shown["Name"] = point.name
    shown |= {"Source": point.source, "Destination": point.target}
    if point.driver:
        shown["Driver"] = point.driver
    shown |= {"Mode": point.mode, "RW": not point.read_only, "Propagation": point.propagation}
    return shown


def inspect(containers: Containers, container: Container, exec_ids: list[str]) -> dict[str, Any]:
    """Return the whole of a container."""
    if container.settled is None:
        container.settled = _settled(containers, container)
    host = container.settled["HostConfig"] | {"Links": links.texts(containers, container)}
    return container.settled | {
        "HostConfig": host,
        "State": _state(container),
        "RestartCount": container.state.restart_count,
        "ExecIDs": exec_ids or None,
        "NetworkSettings": _network(containers, container),
        **_manifest(containers, container),
    }


def _settled(containers: Containers, container: Container) -> dict[str, Any]:
    """Return what is the same until somebody updates or renames the container; None where something else comes."""
    config = container.config
    args = [*(config.entrypoint or ()), *(config.cmd or ())]
    directory = containers.directory(container)
    logs = container.host.log_config
    return {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": args[0] if args else "",
        "Args": args[1:],
        "State": None,
        "Image": container.image,
        "ResolvConfPath": str(directory / "resolv.conf"),
        "HostnamePath": str(directory / "hostname"),
        "HostsPath": str(directory / "hosts"),
        "LogPath": str(containers.log_path(container)) if logs and logs.type == "json-file" else "",
        "Name": f"/{container.name}",
        "RestartCount": None,
        "Driver": containers.snapshots.driver,
        "Platform": container.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host(container),
        "GraphDriver": containers.snapshots.graph_driver(container.id),
        "Mounts": mounts(container),
        "Config": _config(container),
        "NetworkSettings": None,
    }


def _state(container: Container) -> dict[str, Any]:
    state = container.state
    shown: dict[str, Any] = {
        "Status": state.status.value,
        "Running": container.alive or state.status is Status.RESTARTING,
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at) if state.started_at else NEVER,
        "FinishedAt": rfc3339(state.finished_at) if state.finished_at else NEVER,
    }
    if state.health is not None:
        shown["Health"] = _health(state.health)
    return shown


def _health(health: Health) -> dict[str, Any]:
    results = [
        {
            "Start": rfc3339(entry["start"]),
            "End": rfc3339(entry["end"]),
            "ExitCode": entry["exit_code"],
            "Output": entry["output"],
        }
        for entry in health.log
    ]
    return {"Status": health.status, "FailingStreak": health.streak, "Log": results}


HOST_DEFAULTS: dict[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "PortBindings": None,
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "Dns": None,
    "DnsOptions": None,
    "DnsSearch": None,
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "Runtime": "pydock",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None,
    "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None,
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": None,
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": False,
    "PidsLimit": None,
    "Ulimits": None,
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}


# What entries of lists have in any case.
BINDING = {"HostIp": "", "HostPort": ""}
ENTRIES: dict[str, dict[str, Any]] = {
    "Devices": {"PathOnHost": "", "PathInContainer": "", "CgroupPermissions": ""},
    "DeviceRequests": {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": None},
}


def _host(container: Container) -> dict[str, Any]:
    given = container.host.model_dump(by_alias=True, exclude_none=True)
    shown = {**HOST_DEFAULTS, "MaskedPaths": MASKED_PATHS, "ReadonlyPaths": READONLY_PATHS} | given
    for name, whole in ENTRIES.items():
        if shown[name]:
            shown[name] = [whole | entry for entry in shown[name]]
    if shown["PortBindings"]:
        shown["PortBindings"] = {
            port: chosen and [BINDING | binding for binding in chosen] for port, chosen in shown["PortBindings"].items()
        }
    if not shown.get("StorageOpt"):
        shown.pop("StorageOpt", None)
    if container.host.privileged:
        shown |= {"MaskedPaths": None, "ReadonlyPaths": None}
    return shown


CONFIG_DEFAULTS: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": [],
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
}


def _config(container: Container) -> dict[str, Any]:
    given = container.config.model_dump(by_alias=True, exclude_none=True)
    shown = CONFIG_DEFAULTS | given
    shown["Image"] = container.image_name
    if not shown.get("ExposedPorts"):
        shown.pop("ExposedPorts", None)
    if "Healthcheck" in shown:
        shown["Healthcheck"] = {name: value for name, value in shown["Healthcheck"].items() if value}
    if address := container.endpoints.get(container.host.network_mode or "", {}).get("MacAddress"):
        shown["MacAddress"] = address
    return shown


def _network(containers: Containers, container: Container) -> dict[str, Any]:
    networks = containers.networks.settings(container.id, container.endpoints)
    first = networks.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": container.id if container.alive else "",
        "SandboxKey": f"/proc/{container.state.pid}/ns/net" if container.alive else "",
        "Ports": container.state.ports if container.alive else {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": first.get("EndpointID", ""),
        "Gateway": first.get("Gateway", ""),
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": first.get("IPAddress", ""),
        "IPPrefixLen": first.get("IPPrefixLen", 0),
        "IPv6Gateway": "",
        "MacAddress": first.get("MacAddress", ""),
        "Networks": networks,
    }
