"""What keeps an engine in order: POST /system/check and /system/upgrade, both extensions."""

from aiohttp import web

from pydock_daemon.upkeep import check

from .routing import Call, json_response


async def check_system(call: Call) -> web.StreamResponse:
    """POST /system/check: records against files, every blob read unless `quick`, set right with `repair`."""
    found = await check.check(call.engine, deep=not call.flag("quick"), repair=call.flag("repair"))
    return json_response(found)


async def upgrade(call: Call) -> web.StreamResponse:
    """POST /system/upgrade: the supervisor's process goes on with the installed program, containers run meanwhile."""
    went_on = await call.engine.supervisor.upgrade()
    return json_response({"Pid": went_on["pid"], "Release": went_on["release"]})


ROUTES = (("POST", "/system/check", check_system), ("POST", "/system/upgrade", upgrade))
