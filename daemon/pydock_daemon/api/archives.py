"""/containers/{id}/archive, /export, /changes and /commit: what a container's file system takes and gives."""

import base64
import json
from typing import Any

from aiohttp import web

from pydock_daemon.containers import archive
from pydock_daemon.containers.commit import Wanted, commit
from pydock_daemon.containers.model import Container
from pydock_daemon.files.process import Child
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.reference import Reference
from pydock_shared.wire.container import ContainerConfig

from .images import with_tag
from .routing import Call, json_response

STAT = "X-Docker-Container-Path-Stat"
TAR = "application/x-tar"


def _container(call: Call) -> Container:
    return call.engine.containers.get(call.params["name"])


def _path(call: Call) -> str:
    path = call.query.get("path", "")
    if not path or "\0" in path:
        raise InvalidArgument("bad parameter: path cannot be empty" if not path else f"invalid path: {path!r}")
    return path


def _header(about: dict[str, Any]) -> dict[str, str]:
    return {STAT: base64.b64encode(json.dumps(about).encode()).decode()}


async def stat_path(call: Call) -> web.StreamResponse:
    """HEAD /containers/{name}/archive."""
    about = await archive.about(call.engine.containers, _container(call), _path(call), called=call.params["name"])
    return web.Response(headers=_header(about))


async def get_archive(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/archive."""
    async with archive.taken(call.engine.containers, _container(call), _path(call), called=call.params["name"]) as (
        about,
        child,
    ):
        return await _send(call, child, TAR, _header(about))


async def put_archive(call: Call) -> web.StreamResponse:
    """PUT /containers/{name}/archive."""
    container = _container(call)
    await archive.put(
        call.engine.containers,
        container,
        _path(call),
        call.request.content.readany,
        keep_kinds=call.flag("noOverwriteDirNonDir"),
        owner=(container.config.user or "") if call.flag("copyUIDGID") else "",
        called=call.params["name"],
    )
    return web.Response()


async def export_container(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/export."""
    container = _container(call)
    async with archive.exported(call.engine.containers, container) as child:
        response = await _send(call, child, "application/octet-stream")
    call.engine.containers.publish(container, "export")
    return response


async def container_changes(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/changes."""
    async with archive.changed(call.engine.containers, _container(call)) as child:
        return await _send(call, child, "application/json")


async def _send(call: Call, child: Child, kind: str, headers: dict[str, str] | None = None) -> web.StreamResponse:
    """Send what a child gives; an answer that cannot be completed ends with its connection, not as a whole one."""
    response = call.streamed(kind, headers)
    await response.prepare(call.request)
    try:
        while piece := await child.read():
            await response.write(piece)
    except PydockError as error:
        if call.request.transport:
            call.request.transport.abort()
        raise ConnectionResetError(error.message) from error
    await response.write_eof()
    return response


async def commit_container(call: Call) -> web.StreamResponse:
    """POST /commit."""
    query = call.query
    container = call.engine.containers.get(query.get("container", ""))
    body = await call.body(ContainerConfig)
    wanted = Wanted(
        name=_name(call),
        comment=query.get("comment", ""),
        author=query.get("author", ""),
        pause=call.flag("pause", default=True),
        settings=body,
        changes=query.getall("changes", []),
    )
    image = await commit(call.engine.containers, container, wanted)
    return json_response({"Id": image.id}, 201)


def _name(call: Call) -> Reference | None:
    if not call.query.get("repo"):
        return None
    name = with_tag(reference.parse(call.query["repo"], default_tag=False), call.query.get("tag"))
    if name.digest:
        raise InvalidArgument("cannot commit to digest reference")
    return name if name.tag else Reference(name.domain, name.path, "latest")


ROUTES = (
    ("HEAD", "/containers/{name}/archive", stat_path),
    ("GET", "/containers/{name}/archive", get_archive),
    ("PUT", "/containers/{name}/archive", put_archive),
    ("GET", "/containers/{name}/export", export_container),
    ("GET", "/containers/{name}/changes", container_changes),
    ("POST", "/commit", commit_container),
)
