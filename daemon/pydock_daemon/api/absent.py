"""What Docker's API has and this engine is without: swarms, plugins. Answered, never ignored.

Of a swarm: as an engine that is in none; of plugins: as one that has none installed.
"""

from aiohttp import web

from pydock_shared.errors import NotFound, NotSupported, Unavailable

from . import versions
from .routing import Call, Route, json_response

OUTSIDE = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
    "swarm and try again."
)


async def absent(call: Call) -> web.StreamResponse:
    """Refuse what this engine does not carry out, by name."""
    path = versions.split(call.request.rel_url.raw_path)[1]
    raise NotSupported(f"{call.request.method} {path.rstrip('/')} is not supported")


async def outside(call: Call) -> web.StreamResponse:
    """Refuse what only a manager of a swarm can do."""
    raise Unavailable(OUTSIDE)


async def leave(call: Call) -> web.StreamResponse:
    """POST /swarm/leave."""
    raise Unavailable("This node is not part of a swarm")


async def plugins(call: Call) -> web.StreamResponse:
    """GET /plugins: there are none."""
    call.filters().check_known({"capability", "enable", "enabled"})
    return json_response([])


async def no_plugin(call: Call) -> web.StreamResponse:
    """Whatever is asked of a plugin by its name: there is none of that name."""
    raise NotFound(f'plugin "{call.params["name"]}" not found')


SWARM = (
    ("GET", "/swarm"),
    ("POST", "/swarm/update"),
    ("GET", "/swarm/unlockkey"),
    ("POST", "/swarm/unlock"),
    *((method, f"/nodes{rest}") for method, rest in (("GET", ""), ("GET", "/{id}"), ("DELETE", "/{id}"))),
    ("POST", "/nodes/{id}/update"),
    *(
        (method, f"/{kind}{rest}")
        for kind in ("services", "secrets", "configs")
        for method, rest in (
            ("GET", ""),
            ("POST", "/create"),
            ("GET", "/{id}"),
            ("DELETE", "/{id}"),
            ("POST", "/{id}/update"),
        )
    ),
    ("GET", "/services/{id}/logs"),
    ("GET", "/tasks"),
    ("GET", "/tasks/{id}"),
    ("GET", "/tasks/{id}/logs"),
)
ABSENT = (
    ("POST", "/swarm/init"),
    ("POST", "/swarm/join"),
    ("POST", "/plugins/pull"),
    ("POST", "/plugins/create"),
    ("GET", "/plugins/privileges"),
)
PLUGIN = (
    ("GET", "/plugins/{name:path}/json"),
    *(("POST", f"/plugins/{{name:path}}/{verb}") for verb in ("enable", "disable", "push", "set", "upgrade")),
    ("DELETE", "/plugins/{name:path}"),
)
ROUTES: tuple[Route, ...] = (
    ("POST", "/swarm/leave", leave),
    ("GET", "/plugins", plugins),
    *((method, path, absent) for method, path in ABSENT),
    *((method, path, outside) for method, path in SWARM),
    *((method, path, no_plugin) for method, path in PLUGIN),
)
