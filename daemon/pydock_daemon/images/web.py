"""Requests to servers elsewhere: how they are sent, what may come back, what has gone wrong.

Used by the clients of registries, and for ADD. None of the servers is trusted: an answer that is to be a document has a
limit, whatever its header says.
"""

import os
from typing import Any

import aiohttp

from pydock_shared.errors import PydockError

from . import proxies
from .content import LARGEST_DOCUMENT


def session(timeout: aiohttp.ClientTimeout, **options: Any) -> aiohttp.ClientSession:
    """Open a session, which belongs to the caller; it goes by the proxies of the environment and keeps no cookies."""
    return aiohttp.ClientSession(
        timeout=timeout,
        headers={"User-Agent": "pydock"},
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(proxies.from_environment().use,),
        **options,
    )


async def limited(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer that is a document; PydockError when it is too large for one."""
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > LARGEST_DOCUMENT:
            raise PydockError(f"{response.url}: a document of more than {LARGEST_DOCUMENT} bytes")
    return bytes(data)


def cause(error: aiohttp.ClientError) -> str:
    """Return in words why a request failed."""
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        why = os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
        return f"cannot connect to {error.host}:{error.port}: {why.lower()}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the registry closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "unexpected end of the answer"
    return str(error) or type(error).__name__
