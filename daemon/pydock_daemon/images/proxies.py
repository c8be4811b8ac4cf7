"""Through which proxy a request goes: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go's programs read them.

Used by the clients of registries and of ADD; `info` shows it. The rules are those of golang.org/x/net/http/httpproxy:
aiohttp's own, `trust_env`, know no ranges of addresses and no ports, ask a proxy for this host's localhost, and send
whatever root's .netrc has for a server.
"""

import ipaddress
import os
from typing import NamedTuple

import aiohttp
from aiohttp.helpers import strip_auth_from_url
from yarl import URL

from pydock_shared.errors import PydockError

KINDS = ("HTTP", "HTTPS", "NO")
PORTS = {"http": 80, "https": 443}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies(NamedTuple):
    """The proxy for each scheme, and what is asked directly; empty for none."""

    http: str = ""
    https: str = ""
    no: str = ""

    def of(self, url: URL) -> URL | None:
        """Return the proxy for a page, with user and password; PydockError when it is of a kind that is not known."""
        proxy = self.https if url.scheme == "https" else self.http
        if not proxy or self._is_direct((url.host or "").lower().rstrip("."), url.port or PORTS.get(url.scheme, 0)):
            return None
        try:
            found = URL(proxy if "://" in proxy else f"http://{proxy}")
        except ValueError as error:
            raise PydockError(f"invalid proxy address {proxy!r}: {error}") from error
        if found.scheme not in PORTS or not found.host:
            raise PydockError(f"invalid proxy address: only http and https are known, not {found.scheme}")
        return found

    def _is_direct(self, host: str, port: int) -> bool:
        address = _address(host)
        if host == "localhost" or (address and address.is_loopback):
            return True
        return any(_covers(rule.strip(), host, address, port) for rule in self.no.lower().split(","))

    async def use(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request its way: a middleware of aiohttp, which sees each redirect as well."""
        if proxy := self.of(request.url):
            request.update_proxy(*strip_auth_from_url(proxy), None)
        return await send(request)


def from_environment() -> Proxies:
    """Return the proxies of this process's environment."""
    return Proxies(*(os.environ.get(f"{kind}_PROXY") or os.environ.get(f"{kind.lower()}_proxy", "") for kind in KINDS))


def _covers(rule: str, host: str, address: Address | None, port: int) -> bool:
    """Say whether an entry of NO_PROXY is about a host: `*`, a range, or an address or domain, with a port or not."""
    if rule in ("", "*"):
        return rule == "*"
    if "/" in rule:
        try:
            return address is not None and address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, wanted = rule.rpartition(":")
    if not (colon and wanted.isdecimal() and (":" not in name or name.endswith("]"))):
        name, wanted = rule, ""
    if wanted and int(wanted) != port:
        return False
    if found := _address(name.strip("[]")):
        return found == address
    name = name.removeprefix("*")
    return host == name or host.endswith(name if name.startswith(".") else f".{name}")


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
