"""/_ping, /version, /info: what this engine is."""

import os
import platform
from pathlib import Path
from typing import Any

from aiohttp import web

from pydock_daemon import __version__
from pydock_daemon.config import OWN_RUNTIME, Config, OciRuntime
from pydock_daemon.containers import initprogram
from pydock_daemon.containers.logdrivers import options
from pydock_daemon.containers.model import Status
from pydock_shared.times import now_rfc3339nano

from . import versions
from .routing import Call, Route, json_response

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
NO_CACHE = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}

# What is so for every daemon of this version; the rest of it is what a swarm or other programs would fill in.
CONSTANT: dict[str, Any] = {
    "ServerVersion": __version__,
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "overlayfs"], ["Supports d_type", "true"]],
    "Plugins": {
        "Volume": ["local"],
        "Network": ["bridge", "host", "null"],
        "Authorization": None,
        "Log": sorted(options.DRIVERS),
    },
    **dict.fromkeys(
        ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit"), True
    ),
    "OomKillDisable": False,
    "LiveRestoreEnabled": True,
    "ExperimentalBuild": False,
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "IndexServerAddress": "https://index.docker.io/v1/",
    "NGoroutines": 0,
    "NEventsListener": 0,
    "GenericResources": None,
    "CDISpecDirs": [],
    **dict.fromkeys(("HttpProxy", "HttpsProxy", "NoProxy", "Isolation"), ""),
    **{name: {"ID": "", "Expected": ""} for name in ("ContainerdCommit", "RuncCommit", "InitCommit")},
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
    "Warnings": None,
}


async def ping(call: Call) -> web.StreamResponse:
    """GET and HEAD /_ping."""
    response = web.Response(body=b"OK", content_type="text/plain", charset="utf-8", headers=NO_CACHE)
    response.headers["Swarm"] = "inactive"
    response.headers["Builder-Version"] = "1"  # Docker's command line then builds by POST /build
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
    states = [container.state.status for container in engine.containers]
    counts = {
        "ID": engine.id,
        "Containers": len(states),
        "ContainersRunning": states.count(Status.RUNNING),
        "ContainersPaused": states.count(Status.PAUSED),
        "ContainersStopped": len(states) - states.count(Status.RUNNING) - states.count(Status.PAUSED),
        "Images": engine.images.count(),
    }
    return json_response({**counts, **_host(), **_settings(engine.config), **CONSTANT, "SystemTime": now_rfc3339nano()})


def _host() -> dict[str, Any]:
    uname = os.uname()
    return {
        "IPv4Forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1",
        "NFd": len(os.listdir("/proc/self/fd")),
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1",
        "KernelVersion": uname.release,
        "OperatingSystem": _os_release("PRETTY_NAME"),
        "OSVersion": _os_release("VERSION_ID"),
        "OSType": "linux",
        "Architecture": uname.machine,
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": uname.nodename,
    }


def _settings(config: Config) -> dict[str, Any]:
    return {
        "Debug": config.log_level == "debug",
        "LoggingDriver": config.log_driver,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
            "IndexConfigs": {},
            "Mirrors": list(config.registry_mirrors),
        },
        "DockerRootDir": str(config.data_root),
        "Labels": list(config.labels),
        "Runtimes": {OWN_RUNTIME: {"path": "pydock-runtime"}}
        | {name: _runtime(runtime) for name, runtime in config.runtimes.items()},
        "DefaultRuntime": config.default_runtime,
        "InitBinary": config.init_path or initprogram.NAMES[0],
        "DefaultAddressPools": [{"Base": base, "Size": size} for base, size in config.default_address_pools],
    }


def _runtime(runtime: OciRuntime) -> dict[str, Any]:
    arguments = {"runtimeArgs": list(runtime.arguments)} if runtime.arguments else {}
    return {"path": runtime.path, **arguments}


def _os_release(key: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""


async def nothing_to_choose(call: Call) -> web.StreamResponse:
    """OPTIONS of any path: Docker answers nothing, well."""
    return web.Response()


ROUTES: tuple[Route, ...] = (
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("OPTIONS", "/{path:path}", nothing_to_choose),
)
