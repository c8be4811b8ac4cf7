"""The client of registries: endpoints, authentication, manifests and blobs. Used by pull and push.

Protocol: OCI distribution specification 1.1. One `Repository` is one repository at the endpoint that answered for it.
The session, with its pool of connections, belongs to `Registries` until `close`.
"""

import asyncio
import ipaddress
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from pydock_shared.errors import NotFound, PydockError
from pydock_shared.reference import HUB, Reference

from . import auth, manifest
from .auth import Credentials
from .content import LARGEST_DOCUMENT

HUB_HOST = "registry-1.docker.io"
ACCEPT = ", ".join([*sorted(manifest.MANIFESTS | manifest.INDEXES), "*/*;q=0.1"])
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
PIECE = 1 << 18
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Unreachable(PydockError):
    """No connection, or one that broke: another endpoint or another attempt may do."""


class Refused(PydockError):
    """An error answer of the registry with its code, `MANIFEST_UNKNOWN` and so on."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code.lower().replace('_', ' ')}: {message}" if code else message)
        self.answer = status
        self.code = code


class Endpoint(NamedTuple):
    """Where a registry is reached; `verify` says whether its certificate has to be a good one."""

    url: str
    verify: bool
    mirror: bool = False


class Document(NamedTuple):
    """A manifest or index as it came."""

    data: bytes
    digest: str
    media_type: str


class Repository:
    """A repository of one registry for one set of credentials."""

    def __init__(
        self, session: aiohttp.ClientSession, endpoint: Endpoint, path: str, credentials: Credentials, actions: str
    ) -> None:
        self.endpoint, self.path = endpoint, path
        self._session, self._credentials = session, credentials
        self._scope = f"repository:{path}:{actions}"
        self._authorization = ""
        self._asking = asyncio.Lock()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        where: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request below /v2/<path>/ (or to a whole URL), authenticating when asked to.

        `body` makes the body of the request, anew for each time that it is sent.
        Unreachable when the connection fails at any point of the block, Refused for an answer of 400 and above.
        """
        url = where if "://" in where else f"{self.endpoint.url}/v2/{self.path}/{where}"
        try:
            response = await self._send(method, url, dict(headers or {}), body, options)
            async with response:
                if response.status >= 400:
                    raise await _refusal(response)
                yield response
        except aiohttp.ClientError as error:
            raise Unreachable(f'{method.title()} "{url}": {_cause(error)}') from error
        except TimeoutError as error:
            raise Unreachable(f'{method.title()} "{url}": timeout') from error

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: Callable[[], Any] | None, options: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        for last in (False, True):
            used = self._authorization
            if used and url.startswith(f"{self.endpoint.url}/"):
                headers["Authorization"] = used
            data = body() if body else None
            response = await self._session.request(method, url, headers=headers, ssl=self._tls, data=data, **options)
            if response.status != 401 or last:
                return response
            offered = auth.challenges(response.headers.getall("WWW-Authenticate", []))
            response.release()
            if not offered:
                return response
            async with self._asking:
                # Layers are asked for side by side; one of them gets the token for all.
                if self._authorization == used:
                    self._authorization = await auth.authorization(
                        self._session, offered, self._credentials, self._scope, self._tls
                    )
        raise AssertionError("not reached")

    @property
    def _tls(self) -> bool:
        return self.endpoint.verify

    async def manifest(self, name: str) -> Document:
        """Return a manifest or index by tag or digest; what a digest names is verified."""
        async with self.request("GET", f"manifests/{name}", headers={"Accept": ACCEPT}) as response:
            data = await _limited(response)
            digest = manifest.digest_of(data)
            stated = name if ":" in name else response.headers.get("Docker-Content-Digest", digest)
            if stated.startswith("sha256:") and stated != digest:
                raise PydockError(f"manifest verification failed for digest {stated}: the registry sent {digest}")
            return Document(data, digest, manifest.kind_of(data, response.headers.get("Content-Type", "")))

    async def document(self, digest: str, size: int) -> bytes:
        """Return a small blob, verified."""
        async with self.request("GET", f"blobs/{digest}") as response:
            data = await _limited(response)
        if manifest.digest_of(data) != digest or len(data) != size:
            raise PydockError(f"image config verification failed for digest {digest}")
        return data

    async def reached(self) -> bool:
        """Say whether a registry answers here, whatever it says of us."""
        try:
            async with self._session.get(f"{self.endpoint.url}/v2/", ssl=self._tls) as response:
                return response.status in (200, 401)
        except aiohttp.ClientError as error:
            raise Unreachable(f'Get "{self.endpoint.url}/v2/": {_cause(error)}') from error
        except TimeoutError as error:
            raise Unreachable(f'Get "{self.endpoint.url}/v2/": timeout') from error

    async def tags(self) -> list[str]:
        """Return every tag of the repository, page by page."""
        found: list[str] = []
        where: str | None = "tags/list"
        while where:
            async with self.request("GET", where) as response:
                document = json.loads(await _limited(response))
                found += [str(tag) for tag in document.get("tags") or ()]
                following = response.links.get("next")
                where = str(following["url"]) if following else None
        return found


class Registries:
    """The registries as this daemon reaches them."""

    def __init__(self, insecure: Sequence[str], mirrors: Sequence[str]) -> None:
        self._insecure = tuple(insecure)
        self._mirrors = tuple(mirror.rstrip("/") for mirror in mirrors)
        self._session: aiohttp.ClientSession | None = None
        self._plain: set[str] = set()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the session, opened at first use."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=TIMEOUT,
                headers={"User-Agent": "pydock"},
                auto_decompress=False,
                trust_env=True,
                read_bufsize=PIECE,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
            self._session = None

    def endpoints(self, domain: str) -> list[Endpoint]:
        """Return where to try a registry, in order: mirrors, TLS, and plain HTTP for those that may be insecure."""
        if domain == HUB:
            mirrors = [_mirror(url) for url in self._mirrors]
            return [*mirrors, Endpoint(f"https://{HUB_HOST}", verify=True)]
        if not self.is_insecure(domain):
            return [Endpoint(f"https://{domain}", verify=True)]
        plain = Endpoint(f"http://{domain}", verify=False)
        return [plain] if domain in self._plain else [Endpoint(f"https://{domain}", verify=False), plain]

    def is_insecure(self, domain: str) -> bool:
        """Say whether a registry may be reached without a good certificate: loopback, or named in the settings."""
        host = domain.rpartition(":")[0] if ":" in domain and not domain.endswith("]") else domain
        host = host.strip("[]")
        if host == "localhost" or domain in self._insecure or host in self._insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        networks = (network for network in (*LOOPBACK, *self._insecure) if "/" in network)
        return any(address in ipaddress.ip_network(network, strict=False) for network in networks)

    async def find(
        self, ref: Reference, name: str, credentials: Credentials, actions: str = "pull"
    ) -> tuple[Repository, Document]:
        """Return a manifest of a repository by tag or digest, and the repository where it was found."""
        failure: PydockError | None = None
        for endpoint in self.endpoints(ref.domain):
            given = Credentials() if endpoint.mirror else credentials
            repository = Repository(self.session, endpoint, ref.path, given, actions)
            try:
                document = await repository.manifest(name)
            except PydockError as error:
                if isinstance(error, Unreachable) or endpoint.mirror:
                    failure = error
                    continue
                raise
            if endpoint.url.startswith("http:") and not endpoint.mirror:
                self._plain.add(ref.domain)
            return repository, document
        raise failure or PydockError(f"no endpoint for {ref.domain}")

    async def reach(self, ref: Reference, credentials: Credentials, actions: str) -> Repository:
        """Return a repository at the first endpoint of its own registry that answers."""
        failure: PydockError | None = None
        for endpoint in self.endpoints(ref.domain):
            if endpoint.mirror:
                continue
            repository = Repository(self.session, endpoint, ref.path, credentials, actions)
            try:
                if await repository.reached():
                    return repository
                failure = PydockError(f'Get "{endpoint.url}/v2/": this is no registry')
            except Unreachable as error:
                failure = error
        raise failure or PydockError(f"no endpoint for {ref.domain}")


def _mirror(url: str) -> Endpoint:
    full = url if "://" in url else f"https://{url}"
    return Endpoint(full, verify=full.startswith("https:"), mirror=True)


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > LARGEST_DOCUMENT:
            raise PydockError(f"{response.url}: a document of more than {LARGEST_DOCUMENT} bytes")
    return bytes(data)


async def _refusal(response: aiohttp.ClientResponse) -> PydockError:
    body = (await _limited(response))[:4096]
    try:
        first = json.loads(body)["errors"][0]
        code, message = str(first["code"]), str(first.get("message") or first["code"].lower())
    except (ValueError, KeyError, IndexError, TypeError):
        code = "UNAUTHORIZED" if response.status == 401 else ""
        detail = body.decode(errors="replace").strip().split("\n")[0][:200]
        message = f"received unexpected HTTP status: {response.status} {response.reason}"
        message = "authentication required" if code else f"{message}: {detail}" if detail else message
    return Refused(response.status, code, message)


def _cause(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        why = os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
        return f"cannot connect to {error.host}:{error.port}: {why.lower()}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the registry closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "unexpected end of the answer"
    return str(error) or type(error).__name__


def as_pull_error(error: Refused, ref: Reference) -> PydockError:
    """Return a registry's refusal in the words and of the kind that Docker gives to a pull."""
    words = {
        "DENIED": f"pull access denied for {ref.familiar_name()}, repository does not exist or may require "
        f"'docker login'",
        "MANIFEST_UNKNOWN": f"manifest for {ref.familiar()} not found",
        "NAME_UNKNOWN": f"repository {ref.familiar_name()} not found",
    }
    if error.code in words:
        return NotFound(f"{words[error.code]}: {error.message}")
    return error
