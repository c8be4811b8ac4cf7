"""/_ping, /version, /info: what this engine is. Everything of swarm answers as an engine outside a swarm."""

import os
import platform
from pathlib import Path
from typing import Any

from aiohttp import web

from pydock_daemon import __version__
from pydock_daemon.containers.model import Status
from pydock_shared.errors import NotSupported, Unavailable
from pydock_shared.times import now_rfc3339nano

from . import versions
from .routing import Call, json_response

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
NO_CACHE = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}


async def ping(call: Call) -> web.StreamResponse:
    """GET and HEAD /_ping."""
    response = web.Response(body=b"OK", content_type="text/plain", charset="utf-8", headers=NO_CACHE)
    response.headers["Swarm"] = "inactive"
    return response


async def version(call: Call) -> web.StreamResponse:
    """GET /version."""
    uname = os.uname()
    shown = {
        "Version": __version__,
        "ApiVersion": versions.text(versions.NEWEST),
        "MinAPIVersion": versions.text(versions.OLDEST),
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": uname.release,
        "BuildTime": "",
    }
    details = {
        "ApiVersion": shown["ApiVersion"],
        "Arch": shown["Arch"],
        "Experimental": "false",
        "KernelVersion": uname.release,
        "MinAPIVersion": shown["MinAPIVersion"],
        "Os": "linux",
        "PythonVersion": platform.python_version(),
    }
    components = [{"Name": "Engine", "Version": __version__, "Details": details}]
    return json_response({"Platform": {"Name": "pydock"}, "Components": components, **shown})


def architecture() -> str:
    """Return the machine in Go's words, which image indexes use."""
    return ARCHITECTURES.get(os.uname().machine, os.uname().machine)


async def info(call: Call) -> web.StreamResponse:
    """GET /info."""
    engine = call.engine
    config, uname = engine.config, os.uname()
    states = [container.state.status for container in engine.containers]
    shown: dict[str, Any] = {
        "ID": engine.id,
        "Containers": len(states),
        "ContainersRunning": states.count(Status.RUNNING),
        "ContainersPaused": states.count(Status.PAUSED),
        "ContainersStopped": len(states) - states.count(Status.RUNNING) - states.count(Status.PAUSED),
        "Images": engine.images.count(),
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", "overlayfs"], ["Supports d_type", "true"]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "IPv4Forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1",
        "Debug": config.log_level == "debug",
        "NFd": len(os.listdir("/proc/self/fd")),
        "OomKillDisable": False,
        "NGoroutines": 0,
        "SystemTime": now_rfc3339nano(),
        "LoggingDriver": config.log_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1",
        "NEventsListener": 0,
        "KernelVersion": uname.release,
        "OperatingSystem": _os_release("PRETTY_NAME"),
        "OSVersion": _os_release("VERSION_ID"),
        "OSType": "linux",
        "Architecture": uname.machine,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
            "IndexConfigs": {},
            "Mirrors": list(config.registry_mirrors),
        },
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "DockerRootDir": str(config.data_root),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": uname.nodename,
        "Labels": list(config.labels),
        "ExperimentalBuild": False,
        "ServerVersion": __version__,
        "Runtimes": {"pydock": {"path": "pydock-runtime"}}
        | {name: {"path": path} for name, path in config.runtimes.items()},
        "DefaultRuntime": config.default_runtime,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
        "DefaultAddressPools": [{"Base": base, "Size": size} for base, size in config.default_address_pools],
        "Warnings": None,
    }
    return json_response(shown)


def _os_release(key: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""


async def no_swarm(call: Call) -> web.StreamResponse:
    """Answer for everything that needs a swarm."""
    raise Unavailable(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
        "swarm and try again."
    )


async def no_build(call: Call) -> web.StreamResponse:
    """Answer for the builder, which this engine does not have yet."""
    raise NotSupported("build is not supported")


SWARM = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs")
ROUTES = (
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("POST", "/build", no_build),
    *(("GET", path, no_swarm) for path in SWARM),
)
