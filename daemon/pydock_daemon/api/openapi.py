"""GET /openapi.json: what this engine serves, as an OpenAPI document made of the route table and the wire models.

An extension, for clients that are generated and for tests that are. Docker's own reference is written by hand, and says
of no engine what it carries out.
"""

import functools
import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

from pydock_daemon import __version__
from pydock_shared.wire import Wire
from pydock_shared.wire.container import ContainerConfig, CreateContainer, UpdateContainer
from pydock_shared.wire.exec import ExecCreate, ExecStart
from pydock_shared.wire.network import NetworkConnect, NetworkCreate, NetworkDisconnect
from pydock_shared.wire.registry import AuthConfig
from pydock_shared.wire.volume import VolumeCreate

from . import versions
from .routing import Call, Route, json_response

BODIES: dict[str, type[Wire]] = {
    "POST /auth": AuthConfig,
    "POST /commit": ContainerConfig,
    "POST /containers/create": CreateContainer,
    "POST /containers/{name}/exec": ExecCreate,
    "POST /containers/{name}/update": UpdateContainer,
    "POST /exec/{id}/start": ExecStart,
    "POST /networks/create": NetworkCreate,
    "POST /networks/{id:path}/connect": NetworkConnect,
    "POST /networks/{id:path}/disconnect": NetworkDisconnect,
    "POST /volumes/create": VolumeCreate,
}
ARCHIVES = {"PUT /containers/{name}/archive", "POST /images/load"}
"""Requests whose body is a tar archive."""
_STREAMS = "detachKeys logs? stream? stdin? stdout? stderr?"
PARAMETERS = {
    "GET /containers/json": "all? limit# size? filters",
    "POST /containers/create": "name platform",
    "POST /containers/prune": "filters",
    "GET /containers/stats": "all? containers",
    "GET /containers/{name}/json": "size?",
    "GET /containers/{name}/top": "ps_args",
    "GET /containers/{name}/logs": "follow? stdout? stderr? since until timestamps? tail details?",
    "GET /containers/{name}/stats": "stream? one-shot?",
    "POST /containers/{name}/stop": "signal t#",
    "POST /containers/{name}/restart": "signal t#",
    "POST /containers/{name}/kill": "signal",
    "POST /containers/{name}/rename": "name",
    "POST /containers/{name}/resize": "h# w#",
    "POST /containers/{name}/wait": "condition",
    "POST /containers/{name}/attach": _STREAMS,
    "GET /containers/{name}/attach/ws": _STREAMS,
    "DELETE /containers/{name}": "v? force? link?",
    "HEAD /containers/{name}/archive": "path",
    "GET /containers/{name}/archive": "path",
    "PUT /containers/{name}/archive": "path noOverwriteDirNonDir copyUIDGID",
    "POST /commit": "container repo tag comment author pause? changes",
    "POST /exec/{id}/resize": "h# w#",
    "POST /exec/{id}/kill": "signal",
    "GET /events": "since until filters",
    "GET /images/json": "all? digests? shared-size? filters",
    "GET /images/get": "names platform",
    "GET /images/search": "term limit# filters",
    "POST /images/create": "fromImage fromSrc repo tag message changes platform",
    "POST /images/load": "quiet? platform",
    "POST /images/prune": "filters",
    "GET /images/{name:path}/json": "platform manifests?",
    "GET /images/{name:path}/history": "platform",
    "GET /images/{name:path}/get": "platform",
    "POST /images/{name:path}/tag": "repo tag",
    "POST /images/{name:path}/push": "tag",
    "DELETE /images/{name:path}": "force? noprune?",
    "GET /networks": "filters",
    "GET /networks/{id:path}": "verbose? scope",
    "POST /networks/prune": "filters",
    "GET /system/df": "type verbose?",
    "GET /volumes": "filters",
    "POST /volumes/prune": "filters",
    "DELETE /volumes/{name}": "force?",
}
"""Parameters of the query by route: a text, `?` for a boolean, `#` for a number."""
KINDS = {"?": "boolean", "#": "integer"}
ERROR = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"type": "string"}},
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of some routes."""
    definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(BODIES.values())],
        ref_template="#/components/schemas/{model}",
    )[1]["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for method, pattern, handler in routes:
        if method != "OPTIONS":
            path = re.sub(r":path\}", "}", pattern)
            paths.setdefault(path, {})[method.lower()] = _operation(method, pattern, handler.__doc__ or "")
    return {
        "openapi": "3.1.0",
        "info": {"title": "pydock", "version": versions.text(versions.NEWEST), "x-engine": __version__},
        "paths": paths,
        "components": {"schemas": {"ErrorResponse": ERROR, **definitions}},
    }


def _operation(method: str, pattern: str, about: str) -> dict[str, Any]:
    key = f"{method} {pattern}"
    failure = {"$ref": "#/components/schemas/ErrorResponse"}
    operation: dict[str, Any] = {
        "summary": about.partition("\n")[0],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in re.findall(r"\{(\w+)", pattern)
        ]
        + [_parameter(word) for word in PARAMETERS.get(key, "").split()],
        "responses": {
            "2XX": {"description": "as Docker's reference says"},
            "default": {
                "description": "what is wrong, in words",
                "content": {"application/json": {"schema": failure}},
            },
        },
    }
    if key in BODIES:
        schema = {"$ref": f"#/components/schemas/{BODIES[key].__name__}"}
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    if key in ARCHIVES:
        schema = {"type": "string", "format": "binary"}
        operation["requestBody"] = {"content": {"application/octet-stream": {"schema": schema}}}
    return operation


def _parameter(word: str) -> dict[str, Any]:
    kind = KINDS.get(word[-1], "string")
    return {"name": word.rstrip("?#"), "in": "query", "schema": {"type": kind}}


def route(routes: list[Route]) -> Route:
    """Return the route that answers with the document of the others."""
    made = functools.cache(lambda: document(routes))

    async def openapi(call: Call) -> web.StreamResponse:
        """GET /openapi.json: this document."""
        return json_response(made())

    return ("GET", "/openapi.json", openapi)
