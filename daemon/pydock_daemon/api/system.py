"""/_ping, /version, /info: what this engine is."""

import asyncio
import os
import platform
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from pydock_daemon import __version__
from pydock_daemon.config import Config
from pydock_daemon.containers import initprogram
from pydock_daemon.containers.logdrivers import options
from pydock_daemon.containers.model import Status
from pydock_daemon.images.hosts import LOOPBACK
from pydock_daemon.values import OWN_RUNTIME, OciRuntime
from pydock_shared.times import now_rfc3339nano

from . import hostinfo, versions
from .routing import Call, Route, json_response
from .shapes import INFO, shaped

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
NO_CACHE = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}

# What is so for every daemon of this version; the rest of it is what a swarm or other programs would fill in.
CONSTANT: dict[str, Any] = {
    "ServerVersion": __version__,
    "Plugins": {
        "Volume": ["local"],
        "Network": ["bridge", "host", "null"],
        "Authorization": None,
        "Log": sorted(options.DRIVERS),
    },
    "LiveRestoreEnabled": True,
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "IndexServerAddress": "https://index.docker.io/v1/",
    "GenericResources": None,
    "Isolation": "",
    "FirewallBackend": {"Driver": "nftables"},
    **{name: {"ID": "", "Expected": ""} for name in ("ContainerdCommit", "RuncCommit")},
    "InitCommit": {"ID": "N/A", "Expected": ""},
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
}


async def ping(call: Call) -> web.StreamResponse:
    """GET and HEAD /_ping."""
    response = web.Response(body=b"OK", content_type="text/plain", charset="utf-8", headers=NO_CACHE)
    response.headers["Swarm"] = "inactive"
    response.headers["Builder-Version"] = "2"  # Docker's command line then builds by /grpc
    return response


async def version(call: Call) -> web.StreamResponse:
    """GET /version."""
    uname = os.uname()
    shown: dict[str, Any] = {
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
        "Experimental": "true" if call.engine.config.experimental else "false",
        "KernelVersion": uname.release,
        "MinAPIVersion": shown["MinAPIVersion"],
        "Os": "linux",
        "PythonVersion": platform.python_version(),
    }
    if call.engine.config.experimental:
        shown["Experimental"] = True
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
        "Driver": engine.containers.snapshots.driver,
        "NEventsListener": engine.events.readers,
        "NGoroutines": len(asyncio.all_tasks()),
        "SystemTime": now_rfc3339nano(),
    }
    found = {**counts, **hostinfo.host(engine.config), **_settings(engine.config), **CONSTANT}
    if engine.containers.remap:
        first, *others = found["SecurityOptions"]
        found["SecurityOptions"] = [first, "name=userns", *others]
    if engine.containers.snapshots.driver == "vfs":
        found["DriverStatus"] = None
    return json_response(shaped(_as_before(found), INFO, call.version))


def _as_before(found: dict[str, Any]) -> dict[str, Any]:
    """Add what only older versions of the API have."""
    artifacts = dict.fromkeys(("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames"))
    bridges = dict.fromkeys(("BridgeNfIptables", "BridgeNfIp6tables"), False)
    limits = {"KernelMemory": False, "ExecutionDriver": "<not supported>"}
    return {**found, **bridges, **limits, "RegistryConfig": found["RegistryConfig"] | artifacts}


def _settings(config: Config) -> dict[str, Any]:
    return {
        "Debug": config.log_level == "debug",
        "ExperimentalBuild": config.experimental,
        "LoggingDriver": config.log_driver,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [*LOOPBACK, *(name for name in config.insecure_registries if "/" in name)],
            "IndexConfigs": dict(_indexes(config)),
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


def _indexes(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the registries of which something is set, and Docker's own, by name."""
    hub = {"Name": "docker.io", "Mirrors": list(config.registry_mirrors), "Secure": True, "Official": True}
    yield "docker.io", hub
    for name in config.insecure_registries:
        if "/" not in name:
            yield name, {"Name": name, "Mirrors": [], "Secure": False, "Official": False}


def _runtime(runtime: OciRuntime) -> dict[str, Any]:
    arguments = {"runtimeArgs": list(runtime.arguments)} if runtime.arguments else {}
    return {"path": runtime.path, **arguments}


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
