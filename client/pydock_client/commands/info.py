"""`info`: what the daemon says about itself and its host."""

from __future__ import annotations

import sys

from pydock_client import __version__
from pydock_client.command import Call, Command, Failure
from pydock_client.flags import STRING, Flag
from pydock_client.format import unescape
from pydock_shared import units
from pydock_shared.errors import PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Info = dict[str, "Any"]


def _info(call: Call) -> None:
    form = call.options["format"]
    client = {
        "Debug": call.settings.debug,
        "Version": __version__,
        "Context": "default",
        "Plugins": [],
        "Warnings": None,
    }
    found: Info = {}
    failure = ""
    try:
        found = call.daemon.call("GET", "/info")
    except PydockError as error:
        failure = error.message
    if form:
        _by_template(form, {**found, "ClientInfo": client, **({"ServerErrors": [failure]} if failure else {})})
        if failure:
            raise Failure(failure)
        return
    lines = ["Client:", f" Version:    {__version__}", " Context:    default"]
    lines += [f" Debug Mode: {_word(call.settings.debug)}", "", "Server:"]
    if failure:
        print("\n".join(lines))
        raise Failure(failure)
    print("\n".join([*lines, *_server(found)]))
    print()
    for warning in found.get("Warnings") or ():
        print(warning, file=sys.stderr)


def _by_template(form: str, value: Info) -> None:
    from pydock_shared.template import Template, TemplateError

    try:
        print(Template("{{json .}}" if form == "json" else unescape(form)).render(value))
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", 64) from error


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# Title, field; an empty or missing one is left out where the mark says so
_ROWS: tuple[tuple[str, str, bool], ...] = (
    ("Server Version", "ServerVersion", True),
    ("Storage Driver", "Driver", True),
    ("Logging Driver", "LoggingDriver", True),
    ("Cgroup Driver", "CgroupDriver", True),
    ("Cgroup Version", "CgroupVersion", True),
)
_HOST_ROWS: tuple[tuple[str, str, bool], ...] = (
    ("Kernel Version", "KernelVersion", True),
    ("Operating System", "OperatingSystem", True),
    ("OSType", "OSType", True),
    ("Architecture", "Architecture", True),
    ("CPUs", "NCPU", False),
)
_LAST_ROWS: tuple[tuple[str, str, bool], ...] = (
    ("Name", "Name", True),
    ("ID", "ID", True),
    ("Docker Root Dir", "DockerRootDir", False),
    ("Debug Mode", "Debug", False),
    ("Experimental", "ExperimentalBuild", False),
)


def _rows(found: Info, rows: tuple[tuple[str, str, bool], ...]) -> list[str]:
    return [f" {title}: {_word(found.get(key, ''))}" for title, key, optional in rows if found.get(key) or not optional]


def _server(found: Info) -> list[str]:
    lines = [f" Containers: {found.get('Containers', 0)}"]
    lines += [f"  {word}: {found.get(f'Containers{word}', 0)}" for word in ("Running", "Paused", "Stopped")]
    lines.append(f" Images: {found.get('Images', 0)}")
    rows = _rows(found, _ROWS)
    status = [f"  {name}: {value}" for name, value in found.get("DriverStatus") or ()]
    lines += [*rows[:2], *status, *rows[2:]]
    plugins: dict[str, Any] = found.get("Plugins") or {}
    lines.append(" Plugins:")
    lines += [
        f"  {kind}: {' '.join(plugins[kind])}"
        for kind in ("Volume", "Network", "Authorization", "Log")
        if plugins.get(kind)
    ]
    if found.get("CDISpecDirs"):
        lines += [" CDI spec directories:", *(f"  {folder}" for folder in found["CDISpecDirs"])]
    if found.get("Swarm"):
        lines.append(f" Swarm: {found['Swarm'].get('LocalNodeState', 'inactive')}")
    lines += _runtimes(found)
    if found.get("SecurityOptions"):
        lines.append(" Security Options:")
        lines += _security(found["SecurityOptions"])
    lines += _rows(found, _HOST_ROWS)
    lines.append(f" Total Memory: {units.format_size_binary(found.get('MemTotal', 0))}")
    lines += _rows(found, _LAST_ROWS)
    lines += _registries(found)
    lines.append(f" Live Restore Enabled: {_word(found.get('LiveRestoreEnabled', False))}")
    return lines


def _runtimes(found: Info) -> list[str]:
    lines = []
    if found.get("Runtimes"):
        lines.append(f" Runtimes: {' '.join(sorted(found['Runtimes']))}")
        lines.append(f" Default Runtime: {found.get('DefaultRuntime', '')}")
    if found.get("InitBinary"):
        lines.append(f" Init Binary: {found['InitBinary']}")
    for title, key in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
        if (found.get(key) or {}).get("ID"):
            lines.append(f" {title} version: {found[key]['ID']}")
    return lines


def _security(options: list[str]) -> list[str]:
    """`name=seccomp,profile=builtin` as a name and its facts."""
    lines = []
    for option in options:
        facts = dict(part.partition("=")[::2] for part in option.split(","))
        lines.append(f"  {facts.pop('name', option)}")
        lines += [f"   {key.capitalize()}: {value}" for key, value in facts.items()]
    return lines


def _registries(found: Info) -> list[str]:
    config: dict[str, Any] = found.get("RegistryConfig") or {}
    lines = []
    secure = [name for name, entry in (config.get("IndexConfigs") or {}).items() if not entry.get("Secure", True)]
    insecure = [*sorted(secure), *(config.get("InsecureRegistryCIDRs") or [])]
    if insecure:
        lines += [" Insecure Registries:", *(f"  {name}" for name in insecure)]
    if config.get("Mirrors"):
        lines += [" Registry Mirrors:", *(f"  {name}" for name in config["Mirrors"])]
    return lines


INFO = Command(
    _info,
    "[OPTIONS]",
    flags=(Flag("-f --format", STRING, "Format the output: 'json', or 'TEMPLATE', a Go template"),),
)
