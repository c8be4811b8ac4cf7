"""POST /system/check: whether the store is whole, an extension."""

from aiohttp import web

from pydock_daemon.upkeep import check

from .routing import Call, json_response


async def check_system(call: Call) -> web.StreamResponse:
    """POST /system/check: records against files, every blob read unless `quick`, set right with `repair`."""
    found = await check.check(call.engine, deep=not call.flag("quick"), repair=call.flag("repair"))
    return json_response(found)


ROUTES = (("POST", "/system/check", check_system),)
