"""`login`, `logout` and `search`: a person and a registry."""

from __future__ import annotations

import getpass
import os
import sys

from pydock_client import auth
from pydock_client.command import Call, Command, Failure
from pydock_client.commands.ps import FORMAT_HELP
from pydock_client.flags import BOOL, FILTER, INT, STRING, Flag
from pydock_client.format import Item, Listing, ellipsis
from pydock_client.session import STDIN_FD
from pydock_shared import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _login(call: Call) -> None:
    server = auth.server_of(call.arguments[0] if call.arguments else "")
    user, password = _credentials(call, server)
    body: dict[str, Any] = {"username": user, "password": password, "serveraddress": server}
    answer = call.daemon.call("POST", "/auth", None, body) or {}
    token = answer.get("IdentityToken") or ""
    helper = auth.store(call.settings, server, user, password, token)
    if not helper:
        print(
            f"\nWARNING! Your credentials are stored unencrypted in '{call.settings.path}'.\n"
            "Configure a credential helper to remove this warning.\n",
            file=sys.stderr,
        )
    if answer.get("Status"):
        print(answer["Status"])


def _credentials(call: Call, server: str) -> tuple[str, str]:
    """User and password from flags, standard input, what is stored, or the person."""
    options = call.options
    user, password = options["username"], options["password"]
    if options["password-stdin"]:
        if password:
            raise Failure("--password and --password-stdin are mutually exclusive")
        if not user:
            raise Failure("the --password-stdin option requires --username to be set")
        return user, sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if password:
        print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", file=sys.stderr)
    stored = {} if user or password else auth.load(call.settings, server)
    if stored.get("username") and stored.get("password"):
        return stored["username"], stored["password"]
    if (not user or not password) and not os.isatty(STDIN_FD):
        raise Failure("Error: Cannot perform an interactive login from a non TTY device")
    user = user or input("Username: ").strip()
    if not user:
        raise Failure("Error: Non-null Username Required")
    password = password or getpass.getpass("Password: ")
    if not password:
        raise Failure("Error: Password Required")
    return user, password


def _logout(call: Call) -> None:
    server = auth.server_of(call.arguments[0] if call.arguments else "")
    shown = call.arguments[0] if call.arguments else server
    auth.erase(call.settings, server)
    print(f"Removing login credentials for {shown}")


def _official(item: Item) -> str:
    return "[OK]" if item.data.get("is_official") else ""


def _description(item: Item) -> str:
    text: str = (item.data.get("description") or "").replace("\n", " ").replace("\r", " ")
    return ellipsis(text, 45) if item.truncate else text


LISTING = Listing(
    "searchContext",
    ("Name", "Description", "StarCount", "IsOfficial"),
    {
        "Name": ("NAME", lambda item: item.data["name"]),
        "Description": ("DESCRIPTION", _description),
        "StarCount": ("STARS", lambda item: str(item.data.get("star_count", 0))),
        "IsOfficial": ("OFFICIAL", _official),
        "IsAutomated": ("AUTOMATED", lambda item: ""),
    },
)


def _search(call: Call) -> None:
    options, (term,) = call.options, call.arguments
    wanted = filters.from_flags(options["filter"])
    domain = term.partition("/")[0] if "/" in term and "." in term.partition("/")[0] else ""
    query = {"term": term, "limit": options["limit"] or "", "filters": wanted.encode() if wanted else ""}
    header = auth.header(call.settings, domain)
    found = call.daemon.request("GET", "/images/search", query, **{"X_Registry_Auth": header}).json()
    LISTING.show(found or [], options["format"], truncate=not options["no-trunc"])


LOGIN = Command(
    _login,
    "[OPTIONS] [SERVER]",
    arguments=(0, 1),
    about="Authenticate to a registry, Docker Hub if no server is named",
    flags=(
        Flag("-p --password", STRING, "Password or Personal Access Token (PAT)"),
        Flag("--password-stdin", BOOL, "Take the password or Personal Access Token (PAT) from STDIN"),
        Flag("-u --username", STRING, "User name"),
    ),
)
LOGOUT = Command(_logout, "[SERVER]", arguments=(0, 1), about="Log out from a registry, Docker Hub if none is named")
SEARCH = Command(
    _search,
    "[OPTIONS] TERM",
    arguments=(1, 1),
    flags=(
        Flag("-f --filter", FILTER, "Filter output based on conditions provided"),
        Flag("--format", STRING, FORMAT_HELP),
        Flag("--limit", INT, "Max number of search results"),
        Flag("--no-trunc", BOOL, "Don't truncate output"),
    ),
)
