"""`context`: daemons by name. `default` is what -H and the environment say; the others are docker's own files."""

from __future__ import annotations

import sys

from pydock_client.command import Call, Command, Failure
from pydock_client.commands.ps import FORMAT_HELP
from pydock_client.contexts import DEFAULT, FILES
from pydock_client.flags import BOOL, PAIRS, STRING, Flag
from pydock_client.format import Listing
from pydock_client.http import parse_host
from pydock_client.settings import DEFAULT_HOST
from pydock_shared.errors import NotSupported, PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ABOUT_DEFAULT = "Current DOCKER_HOST based configuration"
BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False, "": False}
CANNOT = "unable to create docker endpoint config: "

LISTING = Listing(
    "clientContextContext",
    ("Shown", "Description", "DockerEndpoint", "Error"),
    {
        "Name": ("NAME", lambda item: item.data["name"]),
        "Shown": ("NAME", lambda item: item.data["name"] + " *" * item.data["current"]),
        "Current": ("CURRENT", lambda item: item.data["current"]),
        "Description": ("DESCRIPTION", lambda item: item.data["about"]),
        "DockerEndpoint": ("DOCKER ENDPOINT", lambda item: item.data["host"]),
        "Error": ("ERROR", lambda item: item.data["error"]),
    },
)


def _ls(call: Call) -> None:
    store, current = call.settings.contexts, call.settings.context
    names = [DEFAULT, *store.names()]
    if call.options["quiet"]:
        print("\n".join(names))
        return
    rows = []
    for name in names:
        row = {"name": name, "current": name == current, "about": ABOUT_DEFAULT, "error": ""}
        if name == DEFAULT:
            rows.append(row | {"host": call.settings.environment_host})
            continue
        try:
            found = store.load(name)
            rows.append(row | {"about": found.description, "host": found.endpoint.get("Host", "")})
        except PydockError as error:
            rows.append(row | {"about": "", "host": "", "error": error.message})
    LISTING.show(rows, call.options["format"])


def _show(call: Call) -> None:
    print(call.settings.context)


def _use(call: Call) -> None:
    (name,) = call.arguments
    if name != DEFAULT:
        call.settings.contexts.load(name)
    call.settings.contexts.use(name)
    print(name)
    print(f'Current context is now "{name}"', file=sys.stderr)


def _inspect(call: Call) -> None:
    from pydock_client.commands.inspect import render

    found, failures = [], []
    for name in call.arguments or [call.settings.context]:
        try:
            found.append(_described(call, name))
        except PydockError as error:
            failures.append(error.message)
    if found or not call.options["format"]:
        render(found, call.options["format"])
    if failures:
        raise Failure("\n".join(failures))


def _described(call: Call, name: str) -> dict[str, Any]:
    store = call.settings.contexts
    if name == DEFAULT:
        described: dict[str, Any] = {"Endpoints": {"docker": _endpoint(call.settings.environment_host)}}
        files, where = {}, {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}
    else:
        found = store.load(name)
        described, files = found.described, found.files
        where = {"MetadataPath": store.meta(name), "TLSPath": store.tls(name)}
    return {
        "Name": name,
        "Metadata": described.get("Metadata") or {},
        "Endpoints": described["Endpoints"],
        "TLSMaterial": {"docker": [FILES[key] for key in files]} if files else {},
        "Storage": where,
    }


def _endpoint(host: str, *, skip: bool = False) -> dict[str, Any]:
    return {"Host": host, "SkipTLSVerify": skip}


def _create(call: Call) -> None:
    (name,) = call.arguments
    store, options = call.settings.contexts, call.options
    _not_reserved(name)
    if name in store.names():
        raise Failure(f'context "{name}" already exists')
    given = _given(options["docker"])
    source = options["from"]
    if source and given:
        raise Failure("cannot use --docker flag when --from is set")
    if source and source != DEFAULT:
        found = store.load(source)
        endpoint, material = found.endpoint, {key: _read(path) for key, path in found.files.items()}
        about = options["description"] or found.description
    else:
        endpoint, material = _made(given, call.settings.environment_host)
        about = options["description"]
    store.save(name, _document(about, endpoint), material)
    print(name)
    print(f'Successfully created context "{name}"', file=sys.stderr)


def _update(call: Call) -> None:
    (name,) = call.arguments
    store, options = call.settings.contexts, call.options
    _not_reserved(name)
    found = store.load(name)
    about = options["description"] if "description" in options.given else found.description
    given = _given(options["docker"])
    endpoint, material = _made(given, DEFAULT_HOST) if given else (found.endpoint, None)
    store.save(name, _document(about, endpoint), material)
    print(name)
    print(f'Successfully updated context "{name}"', file=sys.stderr)


def _rm(call: Call) -> None:
    store, force, failures = call.settings.contexts, call.options["force"], []
    for name in call.arguments:
        if name == DEFAULT:
            failures.append(f'{DEFAULT}: context "{DEFAULT}" cannot be removed')
        elif name == call.settings.context and not force:
            failures.append(f'context "{name}" is in use, set -f flag to force remove')
        elif name not in store.names() and not force:
            failures.append(f'context "{name}" does not exist')
        else:
            if name == store.current():
                store.use(DEFAULT)
            store.remove(name)
            print(name)
    if failures:
        raise Failure("\n".join(failures))


def _not_reserved(name: str) -> None:
    if name == DEFAULT:
        raise Failure(f'"{DEFAULT}" is a reserved context name')


def _document(about: str, endpoint: dict[str, Any]) -> dict[str, Any]:
    return {"Metadata": {"Description": about} if about else {}, "Endpoints": {"docker": endpoint}}


def _given(pairs: list[str]) -> dict[str, str]:
    """Return what --docker says: `host=tcp://...,ca=...`, any number of times."""
    return dict(part.partition("=")[::2] for text in pairs for part in text.split(",") if part)


def _made(given: dict[str, str], host: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return an endpoint and its certificates."""
    for key in given:
        if key not in ("host", "from", "skip-tls-verify", *FILES):
            raise Failure(f"{CANNOT}{key}: unrecognized config key")
    skip = given.get("skip-tls-verify", "")
    if skip.lower() not in BOOLEANS:
        raise Failure(f'{CANNOT}skip-tls-verify: strconv.ParseBool: parsing "{skip}": invalid syntax')
    parse_host(given.get("host") or host)
    material = {key: _read(given[key]) for key in FILES if given.get(key)}
    return _endpoint(given.get("host") or host, skip=BOOLEANS[skip.lower()]), material


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure(f"{CANNOT}open {path}: {(error.strerror or '').lower()}") from error


def _refused(verb: str) -> Callable[[Call], None]:
    def run(call: Call) -> None:
        raise NotSupported(f"context {verb} is not supported")

    return run


_DESCRIPTION = Flag("--description", STRING, "Description of the context")
_ENDPOINT = Flag("--docker", PAIRS, "Set the endpoint")

LS = Command(
    _ls,
    "[OPTIONS]",
    flags=(Flag("--format", STRING, FORMAT_HELP), Flag("-q --quiet", BOOL, "Only show context names")),
)
SHOW = Command(_show)
USE = Command(_use, "CONTEXT", arguments=(1, 1))
INSPECT = Command(
    _inspect,
    "[OPTIONS] [CONTEXT] [CONTEXT...]",
    arguments=(0, None),
    flags=(Flag("-f --format", STRING, "Format the output: 'json', or 'TEMPLATE', a Go template"),),
)
CREATE = Command(
    _create,
    "[OPTIONS] CONTEXT",
    arguments=(1, 1),
    flags=(_DESCRIPTION, _ENDPOINT, Flag("--from", STRING, "Create the context from another")),
)
UPDATE = Command(_update, "[OPTIONS] CONTEXT", arguments=(1, 1), flags=(_DESCRIPTION, _ENDPOINT))
RM = Command(
    _rm,
    "CONTEXT [CONTEXT...]",
    arguments=(1, None),
    flags=(Flag("-f --force", BOOL, "Force the removal of a context in use"),),
)
EXPORT = Command(_refused("export"), "[OPTIONS] CONTEXT [FILE|-]", arguments=(1, 2))
IMPORT = Command(_refused("import"), "CONTEXT FILE|-", arguments=(2, 2))
