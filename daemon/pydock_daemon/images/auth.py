"""Credentials, challenges and tokens of registries. Used by `registry`, and by `api` for the X-Registry-Auth header.

Token protocol: distribution's "Token Authentication Specification" and its OAuth2 form for identity tokens.
"""

import base64
import binascii
import re
from typing import Any, NamedTuple

import aiohttp

from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument, PydockError, Unauthorized

from .web import limited

CLIENT = "pydock"
_CHALLENGE = re.compile(r"\s*,?\s*([A-Za-z][\w-]*)(?:\s+(?=[\w-]+\s*=)|\s*(?:,|$))")
_PARAMETER = re.compile(r'\s*,?\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Credentials(NamedTuple):
    """What a client gave for one registry."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> str:
        """Return the value of a Basic header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Challenge(NamedTuple):
    """One way of authentication that a server offers."""

    scheme: str
    parameters: dict[str, str]


def decode_header(text: str) -> Credentials:
    """Return the credentials of an X-Registry-Auth header; none at all when it is empty."""
    if not text.strip():
        return Credentials()
    try:
        # Clients differ in alphabet and padding.
        plain = text.strip().replace("+", "-").replace("/", "_").rstrip("=")
        data = jsontext.parsed(base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)) or b"{}")
    except (ValueError, binascii.Error) as error:
        raise InvalidArgument(f"invalid X-Registry-Auth header: {error}") from error
    if data is None:
        return Credentials()
    if not isinstance(data, dict):
        raise InvalidArgument("invalid X-Registry-Auth header: needs a JSON object")
    username, password = str(data.get("username") or ""), str(data.get("password") or "")
    if data.get("auth") and not username:
        username, password = joined(str(data["auth"]))
    return Credentials(username, password, str(data.get("identitytoken") or ""), str(data.get("registrytoken") or ""))


def joined(text: str) -> tuple[str, str]:
    """Return user and password of an `auth` field; InvalidArgument when it is none."""
    try:
        username, _, password = base64.b64decode(text).decode().partition(":")
    except ValueError as error:
        raise InvalidArgument(f"invalid X-Registry-Auth header: auth: {error}") from error
    return username, password


def challenges(headers: list[str]) -> list[Challenge]:
    """Return the challenges of WWW-Authenticate headers: several a header, or a header each (RFC 9110, 11.6.1)."""
    found = []
    for header in headers:
        at = 0
        while match := _CHALLENGE.match(header, at):
            at = match.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(header, at):
                at = parameter.end()
                value = parameter[3] if parameter[2] is None else re.sub(r"\\(.)", r"\1", parameter[2])
                parameters[parameter[1].lower()] = value
            found.append(Challenge(match[1].lower(), parameters))
            if match.end() == match.start():
                break
    return found


async def authorization(
    session: aiohttp.ClientSession, offered: list[Challenge], credentials: Credentials, scopes: list[str], tls: Any
) -> str:
    """Return the Authorization header that answers a challenge; PydockError when none can be given."""
    for challenge in offered:
        if challenge.scheme == "bearer":
            if credentials.registry_token:
                return f"Bearer {credentials.registry_token}"
            return f"Bearer {await _token(session, challenge.parameters, credentials, scopes, tls)}"
    for challenge in offered:
        if challenge.scheme == "basic":
            if not credentials.username:
                raise PydockError("no basic auth credentials")
            return credentials.basic
    raise PydockError("the registry asks for an authentication that is not known")


async def _token(
    session: aiohttp.ClientSession, parameters: dict[str, str], credentials: Credentials, scopes: list[str], tls: Any
) -> str:
    return (await tokens(session, parameters, credentials, scopes, tls))[0]


async def tokens(
    session: aiohttp.ClientSession,
    parameters: dict[str, str],
    credentials: Credentials,
    scopes: list[str],
    tls: Any,
    *,
    offline: bool = False,
) -> tuple[str, str]:
    """Return the token for a challenge's parameters and, with `offline` and when the server has such, a lasting one.

    Unauthorized when the server refuses the credentials, PydockError when it gives none for another reason.
    """
    realm = parameters.get("realm", "")
    if not realm.startswith(("http://", "https://")):
        raise PydockError(f"the registry names no usable token server: {realm!r}")
    service = {"service": parameters["service"]} if parameters.get("service") else {}
    scopes = scopes or parameters.get("scope", "").split()
    if credentials.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": CLIENT}
        sending = session.post(realm, data={**form, **service, "scope": " ".join(scopes)}, ssl=tls)
    else:
        headers = {"Authorization": credentials.basic} if credentials.username else {}
        account = {"account": credentials.username} if credentials.username else {}
        lasting = {"offline_token": "true", "client_id": CLIENT} if offline else {}
        query = [*service.items(), *(("scope", scope) for scope in scopes), *account.items(), *lasting.items()]
        sending = session.get(realm, params=query, headers=headers, ssl=tls)
    try:
        async with sending as response:
            body = await limited(response)
            status = response.status
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PydockError(f'Get "{realm}": {error or "timeout"}') from error
    if status != 200:
        refused = status == 401 and bool(credentials.username or credentials.identity_token)
        kind, detail = (
            (Unauthorized, "incorrect username or password") if refused else (PydockError, f"status {status}")
        )
        raise kind(f'Get "{realm}": unauthorized: {detail}')
    try:
        data = jsontext.parsed(body)
        token, lasting_token = str(data.get("token") or data["access_token"]), str(data.get("refresh_token") or "")
    except (ValueError, KeyError, AttributeError) as error:
        raise PydockError(f"the token server {realm} gave no token") from error
    if not token.isascii() or not token.isprintable():
        raise PydockError(f"the token server {realm} gave no token that could be sent")
    return token, lasting_token
