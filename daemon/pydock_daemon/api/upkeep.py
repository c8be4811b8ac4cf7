"""What keeps an engine in order, extensions all: POST /system/check and /system/upgrade, and the pins of images."""

from aiohttp import web

from pydock_daemon.upkeep import check

from .routing import Call, Route, empty, json_response


async def check_system(call: Call) -> web.StreamResponse:
    """POST /system/check: records against files, every blob read unless `quick`, set right with `repair`."""
    found = await check.check(call.engine, deep=not call.flag("quick"), repair=call.flag("repair"))
    return json_response(found)


async def upgrade(call: Call) -> web.StreamResponse:
    """POST /system/upgrade: the supervisor's process goes on with the installed program, containers run meanwhile."""
    went_on = await call.engine.supervisor.upgrade()
    return json_response({"Pid": went_on["pid"], "Release": went_on["release"]})


async def pin_image(call: Call) -> web.StreamResponse:
    """POST /images/{name}/pin: automatic collection leaves alone what has this name, or with an id this image."""
    call.engine.images.uses.pin(call.params["name"])
    return empty()


async def unpin_image(call: Call) -> web.StreamResponse:
    """POST /images/{name}/unpin."""
    call.engine.images.uses.unpin(call.params["name"])
    return empty()


async def list_pins(call: Call) -> web.StreamResponse:
    """GET /images/pins: every pin, with the id of the image that has it now."""
    pins = call.engine.images.uses.pins()
    return json_response([{"Target": target, "Id": image.id if image else ""} for target, image in pins])


ROUTES: tuple[Route, ...] = (
    ("POST", "/system/check", check_system),
    ("POST", "/system/upgrade", upgrade),
    ("GET", "/images/pins", list_pins),
    ("POST", "/images/{name:path}/pin", pin_image),
    ("POST", "/images/{name:path}/unpin", unpin_image),
)
