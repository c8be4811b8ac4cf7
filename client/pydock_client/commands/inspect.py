"""`inspect` and the inspect of each kind: an object as the daemon describes it, as JSON or by a template."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.flags import BOOL, STRING, Flag
from pydock_client.format import unescape
from pydock_shared.errors import NotFound, PydockError

from .images import platform_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pydock_client.http import Query

# What is null on the wire and prints as an empty list or map in a template, because Go's own types say so
_LISTS = frozenset(
    "Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps BlkioWeightDevice CapAdd "
    "CapDrop Cmd DeviceCgroupRules DeviceRequests Devices Dns DnsOptions DnsSearch Entrypoint Env ExecIDs ExtraHosts "
    "GroupAdd Links MaskedPaths Mounts OnBuild ReadonlyPaths RepoDigests RepoTags SecurityOpt Shell Ulimits "
    "VolumesFrom Aliases DNSNames Config Layers".split()
)
_MAPS = frozenset(
    "ExposedPorts Labels Options PortBindings Volumes DriverOpts Ports Networks StorageOpt Sysctls Tmpfs".split()
)
_SETS = ("Volumes", "ExposedPorts")
_OPTIONAL = frozenset(
    "Health Healthcheck Init StopTimeout StopSignal ExposedPorts Shell Mounts SizeRw SizeRootFs".split()
)
_BAD_TEMPLATE = 64  # sysexits.h: the command was used incorrectly

_KINDS: dict[str, str] = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
_SWARM_KINDS = ("node", "service", "task", "secret", "config", "plugin")


def _inspect(call: Call) -> None:
    kind = call.options["type"]
    if kind in _SWARM_KINDS:
        raise Failure(f"--type {kind} is not supported")
    if "type" in call.options.given and not kind:
        raise Failure('type is empty: must be one of "container", "image", "network", "volume"')
    if kind and kind not in _KINDS:
        raise Failure(f'unknown type: "{kind}": must be one of "container", "image", "network", "volume"')
    _show(call, [kind] if kind else list(_KINDS), guess=not kind)


def _of_kind(kind: str) -> Any:
    def run(call: Call) -> None:
        _show(call, [kind], guess=False)

    return run


def _show(call: Call, kinds: list[str], *, guess: bool) -> None:
    """Find every name among the kinds; what was found is shown even if another name was not."""
    found: list[dict[str, Any]] = []
    failures: list[str] = []
    for name in call.arguments:
        try:
            found.append(_find(call, name, kinds, guess=guess))
        except PydockError as error:
            failures.append(error.message)
    render(found, call.options["format"], failures)
    if failures:
        raise Failure("\n".join(failures))


def render(found: list[dict[str, Any]], form: str, failures: list[str] | None = None) -> None:
    """Print objects as JSON or by a template; what a template fails at is added to the failures, or raised."""
    if form in ("", "json"):
        print(_as_json(found, compact=form == "json"))
        return
    failed: list[str] = []
    _by_template(found, form, failed)
    if failures is None and failed:
        raise Failure("\n".join(failed))
    if failures is not None:
        failures += failed


def _find(call: Call, name: str, kinds: list[str], *, guess: bool) -> dict[str, Any]:
    if not name.strip():
        raise NotFound("Error: No such object: " if guess else f"invalid {kinds[0]} name or ID: value is empty")
    for kind in kinds:
        query: Query = {"size": call.options.get("size", False)} if kind == "container" else {}
        if kind == "image" and call.options.get("platform"):
            query["platform"] = platform_query(call.options["platform"])
        if kind == "network":
            query = {"verbose": call.options.get("verbose", False)}
        try:
            answer: dict[str, Any] = call.daemon.call("GET", _KINDS[kind].format(name), query)
        except NotFound:
            if not guess:
                raise
        else:
            return answer
    raise NotFound(f"Error: No such object: {name}")


def _as_json(found: list[dict[str, Any]], *, compact: bool) -> str:
    import json

    if compact:
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(found, ensure_ascii=False, indent=4)


def _by_template(found: list[dict[str, Any]], form: str, failures: list[str]) -> None:
    from pydock_shared.template import Template, TemplateError

    try:
        template = Template(unescape(form), optional=_OPTIONAL)
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", _BAD_TEMPLATE) from error
    for entry in found:
        try:
            sys.stdout.write(template.render(typed(entry)) + "\n")
        except TemplateError as error:
            sys.stdout.write("\n")
            failures.append(f"template parsing error: {error}")
            return
    if not found:
        sys.stdout.write("\n")


def typed(value: Any, name: str = "") -> Any:
    """Return a value with nulls as what Go's types make of them."""
    from pydock_shared.template.functions import NilList, NilMap, Nothing

    if isinstance(value, dict) and name in _SETS:
        return {key: Nothing() if not entry else typed(entry) for key, entry in value.items()}
    if value is None:
        return NilList() if name in _LISTS else NilMap() if name in _MAPS else None
    if isinstance(value, dict):
        return {key: typed(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return value


_FORMAT = Flag("-f --format", STRING, "Format the output: 'json', or 'TEMPLATE', a Go template for each object")
_SIZE = Flag("-s --size", BOOL, "Display total file sizes")

INSPECT = Command(
    _inspect,
    "[OPTIONS] NAME|ID [NAME|ID...]",
    arguments=(1, None),
    flags=(
        _FORMAT,
        Flag("-s --size", BOOL, "Display total file sizes if the type is container"),
        Flag("--type", STRING, "Only inspect objects of the given type"),
    ),
)
CONTAINER = Command(
    _of_kind("container"), "[OPTIONS] CONTAINER [CONTAINER...]", arguments=(1, None), flags=(_FORMAT, _SIZE)
)
IMAGE = Command(
    _of_kind("image"),
    "[OPTIONS] IMAGE [IMAGE...]",
    arguments=(1, None),
    flags=(
        _FORMAT,
        Flag("--platform", STRING, 'Inspect this platform of a multi-platform image ("os[/arch[/variant]]")'),
    ),
)
NETWORK = Command(
    _of_kind("network"),
    "[OPTIONS] NETWORK [NETWORK...]",
    arguments=(1, None),
    flags=(_FORMAT, Flag("-v --verbose", BOOL, "Verbose output for diagnostics")),
)
VOLUME = Command(_of_kind("volume"), "[OPTIONS] VOLUME [VOLUME...]", arguments=(1, None), flags=(_FORMAT,))
