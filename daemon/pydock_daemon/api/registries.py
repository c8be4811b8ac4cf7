"""/auth, /distribution and /images/search: what is asked of a registry on behalf of a client."""

from typing import Any

from aiohttp import web

from pydock_daemon.images import auth, manifest, search
from pydock_daemon.images.login import login
from pydock_daemon.images.registry import Refused, as_pull_error
from pydock_shared import jsontext, reference
from pydock_shared.wire.registry import AuthConfig

from .images import credentials
from .routing import Call, Route, json_response


async def check_credentials(call: Call) -> web.StreamResponse:
    """POST /auth."""
    body = await call.body(AuthConfig, any_type=True)
    known = auth.Credentials(
        body.username or "", body.password or "", body.identitytoken or "", body.registrytoken or ""
    )
    if body.auth and not body.username:
        known = known._replace(**dict(zip(("username", "password"), auth.joined(body.auth), strict=True)))
    token = await login(call.engine.images.registries, body.serveraddress or "", known)
    return json_response({"IdentityToken": token, "Status": "Login Succeeded"})


async def search_images(call: Call) -> web.StreamResponse:
    """GET /images/search."""
    term = call.query.get("term", "")
    limit = call.number("limit")
    found = await search.search(call.engine.images.registries, term, limit, call.filters(), credentials(call))
    return json_response(found)


async def distribution(call: Call) -> web.StreamResponse:
    """GET /distribution/{name}/json: what a registry has under a name."""
    ref = reference.parse(call.params["name"])
    platforms: list[dict[str, Any]]
    try:
        repository, document = await call.engine.images.registries.find(
            ref, ref.digest or ref.tag or "latest", credentials(call)
        )
    except Refused as error:
        raise as_pull_error(error, ref) from error
    if document.media_type in manifest.INDEXES:
        entries = jsontext.parsed(document.data)["manifests"]
        platforms = [entry["platform"] for entry in entries if entry.get("platform")]
    else:
        parsed = manifest.parse_manifest(document.data, document.media_type)
        about = jsontext.parsed(await repository.document(parsed.config.digest, parsed.config.size))
        platforms = [{key: about[key] for key in ("architecture", "os", "variant") if about.get(key)}]
    descriptor = {"mediaType": document.media_type, "digest": document.digest, "size": len(document.data)}
    return json_response({"Descriptor": descriptor, "Platforms": platforms})


ROUTES: tuple[Route, ...] = (
    ("POST", "/auth", check_credentials),
    ("GET", "/images/search", search_images),
    ("GET", "/distribution/{name:path}/json", distribution),
)
