"""Credentials for registries: from config.json, and from credential helpers that it names. Used by transfer commands.

A helper is a program `docker-credential-NAME` that speaks JSON on its standard streams.
"""

from __future__ import annotations

import base64
import json

from pydock_shared.errors import PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .settings import Settings

HUB = "https://index.docker.io/v1/"
TOKEN_USER = "<token>"


def server_of(domain: str) -> str:
    """Return the name under which the credentials of a registry are kept."""
    return HUB if domain in ("docker.io", "index.docker.io", "") else domain


def header(settings: Settings, domain: str) -> str:
    """Return the X-Registry-Auth header for a registry; `{}` when nothing is known about it."""
    return encode(load(settings, server_of(domain)))


def encode(credentials: dict[str, Any]) -> str:
    """Return credentials as a header carries them."""
    return base64.urlsafe_b64encode(json.dumps(credentials, separators=(",", ":")).encode()).decode()


def load(settings: Settings, server: str) -> dict[str, Any]:
    """Return what is known about a server: user and password, or an identity token; empty when nothing is."""
    helper = _helper(settings, server)
    if helper:
        return _ask(helper, server)
    entries: dict[str, Any] = settings.config.get("auths") or {}
    entry = entries.get(server) or next((e for key, e in entries.items() if _bare(key) == _bare(server)), None)
    if not entry:
        return {}
    found: dict[str, Any] = {"serveraddress": server}
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        found |= {"username": user, "password": password.rstrip("\0")}
    found |= {name: entry[name] for name in ("username", "password") if entry.get(name)}
    if entry.get("identitytoken"):
        found["identitytoken"] = entry["identitytoken"]
        found.pop("password", None)
    return found


def store(settings: Settings, server: str, user: str, password: str, token: str) -> str:
    """Keep credentials; returns the name of the helper that has them now, "" when they are in config.json."""
    helper = _helper(settings, server)
    if helper:
        secret = {"ServerURL": server, "Username": TOKEN_USER if token else user, "Secret": token or password}
        _run(helper, "store", json.dumps(secret))
        settings.config.setdefault("auths", {})[server] = {}
    else:
        entry = {"auth": base64.b64encode(f"{user}:{'' if token else password}".encode()).decode()}
        if token:
            entry["identitytoken"] = token
        settings.config.setdefault("auths", {})[server] = entry
    settings.save()
    return helper


def erase(settings: Settings, server: str) -> None:
    """Forget the credentials of a server, if there are any."""
    entries: dict[str, Any] = settings.config.get("auths") or {}
    known = [key for key in entries if _bare(key) == _bare(server)]
    for key in known:
        helper = _helper(settings, key)
        if helper:
            _run(helper, "erase", key)
        del entries[key]
    if known:
        settings.save()


def _bare(server: str) -> str:
    return server.removeprefix("https://").removeprefix("http://").split("/", 1)[0]


def _helper(settings: Settings, server: str) -> str:
    helpers: dict[str, str] = settings.config.get("credHelpers") or {}
    return helpers.get(_bare(server)) or helpers.get(server) or settings.config.get("credsStore") or ""


def _ask(helper: str, server: str) -> dict[str, Any]:
    try:
        answer = json.loads(_run(helper, "get", server))
    except PydockError as error:
        if "credentials not found" in error.message:
            return {}
        raise
    if answer.get("Username") == TOKEN_USER:
        return {"serveraddress": server, "identitytoken": answer["Secret"]}
    return {"serveraddress": server, "username": answer.get("Username", ""), "password": answer.get("Secret", "")}


def _run(helper: str, verb: str, text: str) -> str:
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, verb], input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PydockError(f"error getting credentials - err: exec: {program!r}: {error.strerror}") from error
    if done.returncode:
        raise PydockError(
            f"error getting credentials - err: exit status {done.returncode}, out: `{done.stdout.strip()}`"
        )
    return done.stdout
