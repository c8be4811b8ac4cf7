"""`version`: of this client and of the daemon."""

from __future__ import annotations

import os
import sys
import time

from pydock_client import __version__
from pydock_client.command import Call, Command, Failure
from pydock_client.flags import STRING, Flag
from pydock_client.format import unescape
from pydock_shared import times
from pydock_shared.errors import PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

API_VERSION = "1.51"
_TITLES = {"GoVersion": "Go version", "PythonVersion": "Python version", "GitCommit": "Git commit"}
_ORDER = ("ApiVersion", "GoVersion", "PythonVersion", "GitCommit", "BuildTime", "Os", "Experimental")


def client_version() -> dict[str, Any]:
    """Return what there is to say about this client."""
    machine = os.uname()
    return {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": sys.version.split()[0],
        "Os": machine.sysname.lower(),
        "Arch": architecture(machine.machine),
        "Context": "default",
    }


def architecture(machine: str) -> str:
    """Return Go's name of an architecture, which is what images use."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _version(call: Call) -> None:
    form = call.options["format"]
    client, server, failure = client_version(), None, ""
    try:
        server = call.daemon.call("GET", "/version")
    except PydockError as error:
        failure = error.message
    if form:
        _by_template(form, client, server)
    else:
        print(_described(client, server), end="")
    if failure:
        raise Failure(failure)


def _by_template(form: str, client: dict[str, Any], server: dict[str, Any] | None) -> None:
    from pydock_shared.template import Template, TemplateError

    try:
        template = Template("{{json .}}" if form == "json" else unescape(form))
        print(template.render({"Client": client, "Server": server}))
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", 64) from error


def _described(client: dict[str, Any], server: dict[str, Any] | None) -> str:
    rows = [
        "Client:",
        _row(1, "Version", client["Version"]),
        _row(1, "API version", client["ApiVersion"]),
        _row(1, "Python version", client["PythonVersion"]),
        _row(1, "OS/Arch", f"{client['Os']}/{client['Arch']}"),
        _row(1, "Context", client["Context"]),
    ]
    if server is not None:
        platform = (server.get("Platform") or {}).get("Name", "")
        rows += ["", f"Server: {platform}".rstrip() if platform else "Server:"]
        for component in server.get("Components") or [
            {"Name": "Engine", "Version": server["Version"], "Details": server}
        ]:
            rows += _component(component)
    return "\n".join(rows) + "\n"


def _row(depth: int, title: str, value: str) -> str:
    head = f"{title}:"
    return f"{' ' * depth}{head:<{19 - depth}} {value}"


def _component(component: dict[str, Any]) -> list[str]:
    details: dict[str, Any] = dict(component.get("Details") or {})
    if component["Name"] == "Engine":
        details = {key: details[key] for key in _ORDER if key in details} | details
    rows = [f" {component['Name']}:", _row(2, "Version", component["Version"])]
    for key, value in details.items():
        if key == "ApiVersion":
            minimum = details.get("MinAPIVersion")
            rows.append(_row(2, "API version", f"{value} (minimum version {minimum})" if minimum else value))
        elif key == "BuildTime":
            rows.append(_row(2, "Built", _built(value)))
        elif key == "Os":
            rows.append(_row(2, "OS/Arch", f"{value}/{details.get('Arch', '')}"))
        elif isinstance(value, str) and key not in ("Arch", "MinAPIVersion", "KernelVersion"):
            rows.append(_row(2, _TITLES.get(key, key) if component["Name"] == "Engine" else key, value))
    return rows


def _built(text: str) -> str:
    """The moment of a build as C's asctime writes it."""
    try:
        return time.asctime(time.gmtime(times.parse_rfc3339(text) // times.SECOND))
    except PydockError:
        return text


VERSION = Command(
    _version,
    "[OPTIONS]",
    flags=(Flag("-f --format", STRING, "Format the output: 'json', or 'TEMPLATE', a Go template"),),
)
