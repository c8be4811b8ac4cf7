"""/build: images from Dockerfiles, by the classic protocol, and the cache of their steps."""

import asyncio
import base64
import binascii
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from pydock_daemon.builder import entitlements, fetch, platforms, prune, tree, work
from pydock_daemon.builder.options import Options
from pydock_daemon.builder.report import Report
from pydock_daemon.builder.solve import Build
from pydock_daemon.images.auth import Credentials
from pydock_daemon.images.body import Body
from pydock_daemon.snapshots.compression import CompressionError
from pydock_shared import jsontext, reference
from pydock_shared.errors import InvalidArgument, NotSupported
from pydock_shared.reference import HUB, Reference

from . import buildkit, buildsession, buildtrace
from .routing import Call, json_response
from .stream import progress_stream

# Parameter of the request -> field of HostConfig
NUMBERS = {"memory": "Memory", "memswap": "MemorySwap", "cpushares": "CpuShares", "cpuperiod": "CpuPeriod",
           "cpuquota": "CpuQuota", "shmsize": "ShmSize"}  # fmt: skip
TEXTS = {"cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems", "cgroupparent": "CgroupParent"}
REFUSED = ("outputs", "isolation")
CACHE_TO = {"inline", "min", "max"}
"""What of the steps is told: in the image itself, or apart those of the result, or of all stages."""
LISTED, IMAGE = "context:", "docker-image://"
DIGEST = re.compile("[0-9a-f]{64}")
LONGEST_DOCKERFILE = 1 << 20
EMPTY = ("", "0", "false", "null", "[]", "{}", "default")


async def build_image(call: Call) -> web.StreamResponse:
    """POST /build: a context as the body or by its address, a stream of records as the answer."""
    if call.query.get("version", "1") == "2":
        return await buildkit.build(call)
    options = _options(call)
    root = call.engine.config.data_root / "builds"
    root.mkdir(mode=0o700, exist_ok=True)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=root))
    try:
        (context, text), options = await _context(call, folder, options)
        async with progress_stream(call) as stream:
            engine, traced = call.engine, call.flag("trace")
            async with buildtrace.reported(stream, options, traced=traced) as told:

                def make(options: Options, told: Report) -> Build:
                    return Build(engine.containers, engine.build_cache, options, folder, context, told, text)

                built = await platforms.run(engine.images, options, told, make)
            if traced:
                await stream.send({"aux": {"ID": built.image.id}})
            if built.exported:
                await stream.send({"aux": {"Cache": engine.build_cache.export(built.exported)}})
        return await stream.finish()
    finally:
        await asyncio.shield(_ended(call, folder))


async def _ended(call: Call, folder: Path) -> None:
    """Remove the files of a build, and let go of its contexts."""
    await asyncio.to_thread(work.clean, folder)
    for name in _own_contexts(call):
        await call.engine.build_contexts.drop(name)


async def _context(call: Call, folder: Path, options: Options) -> tuple[tuple[tree.Tree, str | None], Options]:
    archive = folder / "context"
    remote, listed = call.query.get("remote", ""), call.query.get("context", "")
    named = {
        name: await _named(call, text, folder / f"context-{number}")
        for number, (name, text) in enumerate(_contexts(call).items())
    }
    files = [await call.engine.build_contexts.tree(name.removeprefix(LISTED)) for name in _cache_folders(call)]
    options = replace(options, contexts=named, cache_files=files)
    try:
        if listed:
            whole = await call.engine.build_contexts.tree(listed)
            chosen, text = await asyncio.to_thread(tree.chosen, whole, options.dockerfile)
            return (chosen, await _dockerfile(call) or text), options
        if remote:
            name = await fetch.context(remote, archive)
            options = options if name is None else replace(options, dockerfile=name)
        else:
            await Body(call.request.content.readany).run(lambda pieces: tree.spool(pieces, archive))
        return await asyncio.to_thread(tree.context, archive, options.dockerfile), options
    except CompressionError as error:
        raise InvalidArgument(f"invalid build context: {error}") from error


def _contexts(call: Call) -> dict[str, str]:
    """Return the named contexts of the request: `context:ID`, `docker-image://NAME` or an address."""
    return {name.lower(): text or "" for name, text in _table(call.query.get("contexts", ""), "contexts").items()}


def _cache_folders(call: Call) -> list[str]:
    """Return the caches that are folders of the client, which were sent as contexts."""
    return [name for name in _list(call.query.get("cachefrom", ""), "cachefrom") if name.startswith(LISTED)]


def _own_contexts(call: Call) -> list[str]:
    """Return the ids of the contexts that were sent for this build."""
    named = [text for text in _contexts(call).values() if text.startswith(LISTED)]
    named = [text.removeprefix(LISTED) for text in [*named, *_cache_folders(call)]]
    return [name for name in [call.query.get("context", ""), *named] if name]


async def _named(call: Call, text: str, archive: Path) -> tree.Tree | str:
    """Return what a named context is: files, or the name of an image."""
    if text.startswith(LISTED):
        whole = await call.engine.build_contexts.tree(text.removeprefix(LISTED))
        return (await asyncio.to_thread(tree.chosen, whole, ""))[0]
    if text.startswith(IMAGE):
        return text.removeprefix(IMAGE)
    if fetch.is_remote(text):
        await fetch.context(text, archive)
        return await asyncio.to_thread(tree.Tree, archive)
    raise NotSupported(f"the build context {text} is not supported: it is no folder, docker-image:// or address")


async def _dockerfile(call: Call) -> str:
    """Return the Dockerfile that is the body of a build whose context was sent before, or nothing."""
    data = bytearray()
    while piece := await call.request.content.readany():
        data += piece
        if len(data) > LONGEST_DOCKERFILE:
            raise InvalidArgument(f"the Dockerfile is larger than {LONGEST_DOCKERFILE} bytes")
    return data.decode(errors="replace")


async def begin_context(call: Call) -> web.StreamResponse:
    """POST /build/context: a list of files; the answer says which contents are not here. An extension of the API.

    With `digest`, that of such a list, and no body: the answer has an id if that list is here with all of its contents.
    """
    begun, missing = call.engine.build_contexts, list[str]()
    if digest := call.query.get("digest"):
        if not DIGEST.fullmatch(digest):
            raise InvalidArgument(f"invalid digest of a context: {digest}")
        name = await asyncio.to_thread(begun.known, digest)
    else:
        name, missing = await Body(call.request.content.readany).run(begun.begin)
    return json_response({"Id": name, "Missing": missing}, 201 if name else 200)


async def fill_context(call: Call) -> web.StreamResponse:
    """POST /build/context/{id}: an archive of contents."""
    begun, name = call.engine.build_contexts, call.params["id"]
    await Body(call.request.content.readany).run(lambda pieces: begun.fill(name, pieces))
    return json_response({"Id": name})


def _options(call: Call) -> Options:
    query = call.query
    credentials = _credentials(call.request.headers.get("X-Registry-Config", ""))
    session = buildsession.find(call, query["session"]) if query.get("session") else None
    if session:
        session.logins = credentials
    asked = [part for text in query.getall("allow", []) for part in text.split(",") if part]
    if query.get("version", "1") not in ("", "1"):
        raise InvalidArgument(f"invalid version {query['version']}")
    cache_to = {word for word in query.get("cacheto", "").split(",") if word}
    if cache_to - CACHE_TO:
        raise NotSupported(f"the cache export {query['cacheto']} is not supported")
    for name in REFUSED:
        if query.get(name, "") not in EMPTY:
            raise NotSupported(f"the build parameter {name} is not supported")
    if call.flag("exported") and "," in query.get("platform", ""):
        raise NotSupported("files and archives of several platforms are not supported")
    return Options(
        tags=[_tag(text) for text in query.getall("t", []) if text],
        dockerfile=query.get("dockerfile", "") or "Dockerfile",
        target=query.get("target", ""),
        arguments=_table(query.get("buildargs", ""), "buildargs"),
        labels=_texts(query.get("labels", ""), "labels"),
        **platforms.asked(query.get("platform", "")),
        classic=not (call.flag("lean") or call.flag("trace")),
        no_cache=call.flag("nocache"),
        pull=call.flag("pull"),
        remove=call.flag("rm", default=True) or call.flag("forcerm"),
        remove_failed=call.flag("forcerm"),
        quiet=call.flag("q"),
        host_config=_host_config(call),
        credentials=credentials,
        session=session,
        only_exported=call.flag("exported"),
        no_cache_stages=frozenset(text.lower() for text in _list(query.get("nocachefilter", ""), "nocachefilter")),
        annotations=_texts(query.get("annotations", ""), "annotations"),
        index_annotations=_texts(query.get("indexannotations", ""), "indexannotations"),
        squash=call.flag("squash"),
        rewrite=call.flag("rewrite"),
        cache_from=[name for name in _list(query.get("cachefrom", ""), "cachefrom") if not name.startswith(LISTED)],
        cache_inline="inline" in cache_to,
        cache_export=max(cache_to - {"inline"}, key=["min", "max"].index, default=""),
        allowed=entitlements.allowed(call.engine.config, asked),
    )


def _tag(text: str) -> Reference:
    ref = reference.parse(text)
    if ref.digest:
        raise InvalidArgument("build tag cannot contain a digest")
    return ref


def _list(text: str, name: str) -> list[str]:
    """Return a JSON list of texts."""
    try:
        found = jsontext.parsed(text or "[]") or []
    except ValueError as error:
        raise InvalidArgument(f"error reading {name}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
        raise InvalidArgument(f"error reading {name}: needs a list of texts")
    return [value for value in found if value]


def _table(text: str, name: str) -> dict[str, str | None]:
    """Return a JSON object of texts; the list of `name=value` that old clients send is one too."""
    try:
        found = jsontext.parsed(text or "{}") or {}
    except ValueError as error:
        raise InvalidArgument(f"error reading {name}: {error}") from error
    if isinstance(found, list):
        found = dict(str(entry).partition("=")[::2] for entry in found)
    if not isinstance(found, dict) or not all(isinstance(value, str | None) for value in found.values()):
        raise InvalidArgument(f"error reading {name}: needs an object of texts")
    return found


def _texts(text: str, name: str) -> dict[str, str]:
    """Return a JSON object of texts, of which none is missing."""
    return {key: value or "" for key, value in _table(text, name).items()}


def _host_config(call: Call) -> dict[str, Any]:
    query = call.query
    host: dict[str, Any] = {}
    for name, field in NUMBERS.items():
        number = call.number(name)
        if number:
            host[field] = number
    host |= {field: query[name] for name, field in TEXTS.items() if query.get(name)}
    if query.get("networkmode", "default") not in ("", "default"):
        host["NetworkMode"] = query["networkmode"]
    hosts = [part for text in query.getall("extrahosts", []) for part in text.split(",") if part]
    host |= {"ExtraHosts": hosts} if hosts else {}
    for name, field in (("ulimits", "Ulimits"), ("securityopt", "SecurityOpt")):
        if query.get(name, "") not in EMPTY:
            try:
                host[field] = jsontext.parsed(query[name])
            except ValueError as error:
                raise InvalidArgument(f"error reading {name}: {error}") from error
    return host


def _credentials(header: str) -> dict[str, Credentials]:
    """Return the credentials of an X-Registry-Config header, by registry."""
    if not header:
        return {}
    try:
        plain = header.strip().replace("+", "-").replace("/", "_").rstrip("=")
        found = jsontext.parsed(base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)) or b"{}") or {}
        made = {}
        for server, entry in found.items():
            domain = server.removeprefix("https://").removeprefix("http://").partition("/")[0]
            given = Credentials(*(entry.get(name) or "" for name in ("username", "password", "identitytoken")))
            made[HUB if domain == "index.docker.io" else domain] = given
        return made
    except (ValueError, binascii.Error, AttributeError, TypeError) as error:
        raise InvalidArgument(f"invalid X-Registry-Config header: {error}") from error


async def prune_cache(call: Call) -> web.StreamResponse:
    """POST /build/prune: forget what nobody uses, the oldest use first, down to the limits that are given."""
    engine, filters = call.engine, call.filters()
    filters.check_known({*prune.FIELDS, *prune.AGES, *prune.LABELS})
    reserved = call.number("reserved-space") or call.number("keep-storage") or 0
    limits = prune.Limits(reserved, call.number("max-used-space") or 0, call.number("min-free-space") or 0)
    if min(limits) < 0:
        raise InvalidArgument("the space of a build cache cannot be negative")
    entries = await prune.entries(engine.containers, engine.build_cache)
    disk = os.statvfs(engine.config.data_root)
    gone = prune.chosen(entries, filters, limits, disk.f_bfree * disk.f_frsize, every=call.flag("all"))
    ids, freed = await prune.remove(engine.containers, engine.build_cache, gone)
    if call.flag("all") and not filters and limits == prune.Limits():
        freed += await asyncio.to_thread(engine.build_contexts.clear)
    engine.events.publish("builder", "prune", "", {"reclaimed": str(freed)})
    return json_response({"CachesDeleted": ids or None, "SpaceReclaimed": freed})


ROUTES = (
    ("POST", "/build", build_image),
    ("POST", "/build/context", begin_context),
    ("POST", "/build/context/{id}", fill_context),
    ("POST", "/build/prune", prune_cache),
)
