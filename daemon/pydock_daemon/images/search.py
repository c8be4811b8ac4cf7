"""`GET /images/search`: what a registry finds for a term, by version 1 of the registries' API. Used by `api.images`."""

from typing import Any

import aiohttp

from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument, PydockError
from pydock_shared.filters import Filters
from pydock_shared.reference import HUB

from .auth import Credentials
from .hosts import Endpoint
from .registry import Registries
from .web import limited

INDEX = Endpoint("https://index.docker.io/v2", tls=True)
FILTERS = ("is-official", "is-automated", "stars")
LIMIT, HIGHEST = 25, 100


async def search(
    registries: Registries, term: str, limit: int | None, filters: Filters, credentials: Credentials
) -> list[dict[str, Any]]:
    """Return the results as Docker's API has them. InvalidArgument: a bad term, limit or filter; else PydockError."""
    count = LIMIT if limit is None else limit
    if not 1 <= count <= HIGHEST:
        raise InvalidArgument(f"limit {count} is outside the range of [1, {HIGHEST}]")
    filters.check_known(FILTERS)
    official, automated, stars = filters.flag("is-official"), filters.flag("is-automated"), _stars(filters)
    domain, wanted = _split(term)
    endpoints = [INDEX] if domain == HUB else [e for e in registries.hosts.endpoints(domain, "") if not e.mirror]
    found = await _ask(registries, endpoints, {"q": wanted, "n": str(count)}, credentials)
    return [
        item
        for item in found
        if official in (None, item["is_official"])
        and automated in (None, item["is_automated"])
        and item["star_count"] >= stars
    ]


def _stars(filters: Filters) -> int:
    for text in filters.values("stars"):
        if not text.isdecimal():
            raise InvalidArgument(f"invalid filter 'stars=[{text}]'")
    return max((int(text) for text in filters.values("stars")), default=0)


def _split(term: str) -> tuple[str, str]:
    """Return registry and term, as Docker tells them apart: `reg.example/app`, `localhost/app`, `app`."""
    if "://" in term:
        raise InvalidArgument(f"invalid repository name ({term}): should not contain a scheme")
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (HUB, rest) if first in (HUB, "index.docker.io") else (first, rest)
    return HUB, term.removeprefix("library/")


async def _ask(
    registries: Registries, endpoints: list[Endpoint], query: dict[str, str], credentials: Credentials
) -> list[dict[str, Any]]:
    failure: PydockError | None = None
    for endpoint in endpoints:
        url = f"{endpoint.api.removesuffix('/v2')}/v1/search"
        headers = {"Authorization": credentials.basic} if credentials.username and credentials.password else {}
        if endpoint.api.startswith("http:"):
            headers = {}  # no password goes in the clear for what anybody may ask
        try:
            async with registries.session.get(url, params=query, headers=headers, ssl=endpoint.tls) as response:
                if response.status != 200:
                    raise PydockError(f"Unexpected status code {response.status}")
                return [_item(entry) for entry in jsontext.parsed(await limited(response))["results"]]
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = PydockError(f'Get "{url}": {error or "timeout"}')
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PydockError(f"{url}: this is no answer to a search") from error
    raise failure or PydockError("no endpoint for a search")


def _item(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "star_count": int(entry.get("star_count") or 0),
        "is_official": bool(entry.get("is_official")),
        "name": str(entry["name"]),
        "is_automated": bool(entry.get("is_automated")),
        "description": str(entry.get("description") or ""),
    }
