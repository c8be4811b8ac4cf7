"""/grpc and /session: BuildKit's protocols, on connections that HTTP/1.1 gives up for HTTP/2.

What speaks them is imported when the first of them comes: a daemon that nobody builds with is lighter by it.
"""

from aiohttp import web

from pydock_shared.errors import InvalidArgument

from .hijack import hijack
from .routing import Call

PROTOCOL = "h2c"
EXPOSED = "X-Docker-Expose-Session-"


def _check(call: Call) -> None:
    headers = call.request.headers
    if "upgrade" not in headers.get("Connection", "").lower():
        raise InvalidArgument("no upgrade proto in request")
    if headers.get("Upgrade", "").lower() != PROTOCOL:
        raise InvalidArgument(f"protocol {headers.get('Upgrade', '')} not supported")


async def grpc(call: Call) -> web.StreamResponse:
    """POST /grpc: the client asks."""
    _check(call)
    from pydock_daemon.buildkit.services import Services
    from pydock_daemon.buildkit.transport import serve

    await call.request.read()
    hijacked = hijack(call.request, protocol=PROTOCOL)
    await serve(hijacked.socket, Services(call.engine, call.engine.buildkit).methods())
    return hijacked


async def session(call: Call) -> web.StreamResponse:
    """POST /session: the client answers, for as long as it likes."""
    _check(call)
    headers = call.request.headers
    name = headers.get(f"{EXPOSED}Uuid", "")
    if not name:
        raise InvalidArgument("no session id in request")
    from pydock_daemon.buildkit.session import Client

    await call.request.read()
    hijacked = hijack(call.request, protocol=PROTOCOL)
    methods = frozenset(path.lower() for path in headers.getall(f"{EXPOSED}Grpc-Method", ()))
    client = Client(hijacked.socket, headers.get(f"{EXPOSED}Name", ""), headers.get(f"{EXPOSED}Sharedkey", ""), methods)
    sessions = call.engine.buildkit.sessions
    try:
        await client.open()
        sessions.put(name, client)
        await client.gone()
    finally:
        sessions.drop(name, client)
        client.close()
    return hijacked


ROUTES = (("POST", "/grpc", grpc), ("POST", "/session", session))
