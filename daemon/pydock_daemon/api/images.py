"""/images: list, inspect, pull, push, load, save, import, tag, remove, prune."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from pydock_daemon.images import auth, delete, importing, inspect, listing, load, manifest, pull, push, save
from pydock_daemon.images.body import Read
from pydock_daemon.images.importing import Wanted
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.reference import Reference

from .platforms import platform, platforms
from .routing import Call, Route, empty, json_response
from .shapes import IMAGE, listed_images, shaped
from .stream import progress_stream


async def list_images(call: Call) -> web.StreamResponse:
    """GET /images/json."""
    every = call.flag("all")
    found = listing.listing(
        call.engine.images,
        call.filters(),
        shared_size=call.flag("shared-size"),
        users=call.version >= (1, 51),
        every=every,
        all_manifests=call.flag("manifests") and call.version >= (1, 47),
    )
    return json_response(listed_images(found, call.version))


async def inspect_image(call: Call) -> web.StreamResponse:
    """GET /images/{name}/json."""
    images = call.engine.images
    wanted, manifests = platform(call), call.flag("manifests")
    if wanted and manifests:
        raise InvalidArgument("conflicting options: manifests and platform options cannot both be set")
    image = images.resolve(call.params["name"], wanted)
    all_manifests = manifests and call.version >= (1, 48)
    shown = inspect.inspect(images, image, call.version, one_platform=wanted is not None, all_manifests=all_manifests)
    return json_response(shaped(shown, IMAGE, call.version))


async def image_history(call: Call) -> web.StreamResponse:
    """GET /images/{name}/history."""
    images = call.engine.images
    image = images.resolve(call.params["name"], platform(call))
    return json_response(inspect.history(images, image))


async def create_image(call: Call) -> web.StreamResponse:
    """POST /images/create: pull with fromImage, import with fromSrc."""
    if call.query.get("fromImage"):
        return await _pull(call)
    if call.query.get("fromSrc"):
        return await _import(call)
    raise InvalidArgument("one of fromImage and fromSrc is needed")


async def _pull(call: Call) -> web.StreamResponse:
    images, wanted, known = call.engine.images, platform(call), credentials(call)
    ref = with_tag(reference.parse(call.query["fromImage"].removesuffix(":"), default_tag=False), call.query.get("tag"))
    async with progress_stream(call) as stream:
        take = pull.pull if ref.tag or ref.digest else pull.pull_all
        await take(images, ref, wanted, known, stream.send)
    return await stream.finish()


async def _import(call: Call) -> web.StreamResponse:
    query = call.query
    source = query["fromSrc"]
    name = with_tag(reference.parse(query["repo"], default_tag=False), query.get("tag")) if query.get("repo") else None
    if name and name.digest:
        raise InvalidArgument("cannot import digest reference")
    if name and not name.tag:
        name = Reference(name.domain, name.path, "latest")
    wanted = Wanted(name, query.get("message", ""), source, query.getall("changes", []), platform(call))
    async with progress_stream(call) as stream, _source(call, source) as read:
        if source != "-":
            await stream.send({"status": f"Downloading from {source}"})
        await importing.import_(call.engine.images, read, wanted, stream.send)
    return await stream.finish()


@asynccontextmanager
async def _source(call: Call, source: str) -> AsyncIterator[Read]:
    """Give what reads the archive of an import: the request's body, or a page somewhere."""
    if source == "-":
        yield call.request.content.readany
        return
    url = source if "://" in source else f"http://{source}"
    if not url.startswith(("http://", "https://")):
        raise InvalidArgument(f"unsupported source of an image: {source}")
    try:
        async with call.engine.images.registries.session.get(url) as response:
            if response.status >= 400:
                raise PydockError(f"{url}: {response.status} {response.reason}")
            yield response.content.readany
    except aiohttp.ClientError as error:
        raise PydockError(f"{url}: {error}") from error


async def load_images(call: Call) -> web.StreamResponse:
    """POST /images/load."""
    wanted, read, quiet = platforms(call), call.request.content.readany, call.flag("quiet")
    async with progress_stream(call) as stream:
        await stream.start()  # what is wrong with an archive is said in a record, as Docker does: docker-py looks there
        await load.load(call.engine.images, read, wanted, stream.send, quiet=quiet)
    return await stream.finish()


async def save_image(call: Call) -> web.StreamResponse:
    """GET /images/{name}/get."""
    return await _save(call, [call.params["name"]])


async def save_images(call: Call) -> web.StreamResponse:
    """GET /images/get?names=."""
    names = [name for value in call.query.getall("names", []) for name in value.split(",") if name]
    if not names:
        raise InvalidArgument("no image names are given")
    return await _save(call, names)


async def _save(call: Call, names: list[str]) -> web.StreamResponse:
    images = call.engine.images
    saved = save.chosen(images, names, platforms(call))
    if names_instead := [reference.parse(text) for text in call.query.getall("as", [])]:
        saved = [one._replace(names=names_instead) for one in saved]  # an extension: for results of builds
    response = call.streamed("application/x-tar")
    await response.prepare(call.request)
    async for piece in save.stream(images, saved):
        await response.write(piece)
    await response.write_eof()
    for one in saved:
        images.publish("save", one.id)
    return response


async def tag_image(call: Call) -> web.StreamResponse:
    """POST /images/{name}/tag."""
    target = with_tag(reference.parse(call.query.get("repo", ""), default_tag=False), call.query.get("tag"))
    call.engine.images.tag(call.params["name"], target.canonical())
    return empty(201)


async def push_image(call: Call) -> web.StreamResponse:
    """POST /images/{name}/push."""
    ref = with_tag(reference.parse(call.params["name"], default_tag=False), call.query.get("tag"))
    if ref.digest:
        raise InvalidArgument("cannot push a digest reference")
    async with progress_stream(call) as stream:
        await push.push(call.engine.images, ref, platform(call), credentials(call), stream.send)
    return await stream.finish()


async def remove_image(call: Call) -> web.StreamResponse:
    """DELETE /images/{name}."""
    images, name, force = call.engine.images, call.params["name"], call.flag("force")
    if chosen := platforms(call, "platforms"):
        return json_response(delete.delete_platforms(images, name, chosen, force=force))
    return json_response(delete.delete(images, name, force=force))


async def prune_images(call: Call) -> web.StreamResponse:
    """POST /images/prune."""
    pruned = delete.prune(call.engine.images, call.filters())
    await call.engine.images.settled()
    return json_response({"ImagesDeleted": pruned.records or None, "SpaceReclaimed": pruned.freed})


def with_tag(ref: Reference, tag: str | None) -> Reference:
    """Return a reference with the tag, or the digest, of a parameter instead of its own."""
    if not tag:
        return ref
    if manifest.is_digest(tag):
        return reference.parse(f"{ref.name}@{tag}")
    reference.check_tag(tag)
    return Reference(ref.domain, ref.path, tag)


def credentials(call: Call) -> auth.Credentials:
    """Return what the client knows for a registry."""
    return auth.decode_header(call.request.headers.get("X-Registry-Auth", ""))


ROUTES: tuple[Route, ...] = (
    ("GET", "/images/json", list_images),
    ("GET", "/images/get", save_images),
    ("POST", "/images/create", create_image),
    ("POST", "/images/load", load_images),
    ("POST", "/images/prune", prune_images),
    ("GET", "/images/{name:path}/json", inspect_image),
    ("GET", "/images/{name:path}/history", image_history),
    ("GET", "/images/{name:path}/get", save_image),
    ("POST", "/images/{name:path}/tag", tag_image),
    ("POST", "/images/{name:path}/push", push_image),
    ("DELETE", "/images/{name:path}", remove_image),
)
