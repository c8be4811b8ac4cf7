"""`POST /auth`: does a registry take these credentials? Used by `api.images`.

As Docker does: its API version 2 is asked for with them, and a token server for a token that lasts.
"""

import aiohttp

from pydock_shared.errors import PydockError, Unauthorized
from pydock_shared.reference import HUB

from . import auth
from .auth import Credentials
from .hosts import Endpoint
from .registry import Registries, Unreachable
from .web import cause


async def login(registries: Registries, server: str, credentials: Credentials) -> str:
    """Return an identity token, empty when the registry has none to give.

    Unauthorized when it refuses the credentials, Unreachable when it does not answer.
    """
    domain = _domain(server)
    failure: PydockError = PydockError(f"no endpoint for {domain}")
    for endpoint in registries.hosts.endpoints(domain, ""):
        if endpoint.mirror:
            continue
        try:
            token = await _at(registries.session, endpoint, credentials)
        except (aiohttp.ClientError, TimeoutError) as error:
            why = cause(error) if isinstance(error, aiohttp.ClientError) else "timeout"
            failure = Unreachable(f'Get "{endpoint.api}/": {why}')
        else:
            registries.hosts.answered(endpoint, domain)
            return token
    raise failure


def _domain(server: str) -> str:
    """Return the registry that a client means: with a scheme or without, with a path or without, or the hub."""
    host = server.partition("://")[2] if "://" in server else server
    host = host.partition("/")[0]
    return HUB if host in ("", "index.docker.io", "docker.io", "registry-1.docker.io") else host


async def _at(session: aiohttp.ClientSession, endpoint: Endpoint, credentials: Credentials) -> str:
    url, headers = f"{endpoint.api}/", dict(endpoint.headers)
    async with session.get(url, headers=headers, ssl=endpoint.tls) as response:
        status, reason = response.status, response.reason
        offered = auth.challenges(response.headers.getall("WWW-Authenticate", []))
    identity = ""
    if status == 401 and offered:
        headers["Authorization"], identity = await _answer(session, endpoint, offered, credentials)
        async with session.get(url, headers=headers, ssl=endpoint.tls) as response:
            status, reason = response.status, response.reason
    if status != 200:
        kind = Unauthorized if status in (401, 403) else PydockError
        raise kind(f"login attempt to {url} failed with status: {status} {reason}")
    return identity


async def _answer(
    session: aiohttp.ClientSession, endpoint: Endpoint, offered: list[auth.Challenge], credentials: Credentials
) -> tuple[str, str]:
    """Return what answers a challenge, and the identity token that came with it."""
    if not credentials.username and not credentials.identity_token:
        raise Unauthorized(f'Get "{endpoint.api}/": no basic auth credentials')
    for challenge in offered:
        if challenge.scheme == "bearer":
            token, identity = await auth.tokens(
                session, challenge.parameters, credentials, [], endpoint.tls, offline=True
            )
            return f"Bearer {token}", identity
    return await auth.authorization(session, offered, credentials, [], endpoint.tls), ""
