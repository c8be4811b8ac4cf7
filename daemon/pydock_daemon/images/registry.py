"""The client of registries: endpoints, authentication, manifests and blobs. Used by pull and push.

Protocol: OCI distribution specification 1.1. One `Repository` is one repository at the endpoint that answered for it.
The session, with its pool of connections, belongs to `Registries` until `close`.
"""

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import aiohttp
from yarl import URL

from pydock_shared import jsontext
from pydock_shared.errors import NotFound, PydockError
from pydock_shared.reference import Reference

from . import auth, manifest, web
from .auth import Credentials
from .hosts import Endpoint, Hosts
from .web import cause, limited

Answer = TypeVar("Answer")

ACCEPT = ", ".join([*sorted(manifest.MANIFESTS | manifest.INDEXES), "*/*;q=0.1"])
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
PIECE = 1 << 18
READS = ("GET", "HEAD")
BUSY = {429, 502, 503, 504}
TRIES = 3
MOST_PAGES = 1000
LONGEST_PAUSE = 60.0  # seconds; who is told to come back later than that is told so


class Unreachable(PydockError):
    """No connection, or one that broke: another endpoint or another attempt may do."""


class Refused(PydockError):
    """An error answer of the registry with its code, `MANIFEST_UNKNOWN` and so on."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code.lower().replace('_', ' ')}: {message}" if code else message)
        self.answer = status
        self.code = code


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
        self.endpoint, self.path = endpoint, f"{endpoint.prefix}{path}"
        self._session, self._credentials = session, credentials
        self._scopes = [f"repository:{self.path}:{actions}"]
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
        url = where if "://" in where else f"{self.endpoint.api}/{self.path}/{where}"
        try:
            response = await self._send(method, url, dict(headers or {}), body, options)
            async with response:
                if response.status >= 400:
                    raise await _refusal(response)
                yield response
        except aiohttp.ClientError as error:
            raise Unreachable(f'{method.title()} "{url}": {cause(error)}') from error
        except TimeoutError as error:
            raise Unreachable(f'{method.title()} "{url}": timeout') from error

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: Callable[[], Any] | None, options: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        headers |= self.endpoint.headers
        options["params"] = {"ns": self.endpoint.namespace} if self.endpoint.namespace else None
        at_home = URL(url).origin() == URL(self.endpoint.api).origin()
        for last in (False, True):
            used = self._authorization
            if used and at_home:
                headers["Authorization"] = used
            response = await self._patiently(method, url, headers, body, options)
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
                        self._session, offered, self._credentials, self._scopes, self.endpoint.tls
                    )
        raise AssertionError("not reached")

    async def _patiently(
        self, method: str, url: str, headers: dict[str, str], body: Callable[[], Any] | None, options: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        """Send a request; a read that a busy registry turned away is sent again, when it says or after a while."""
        for attempt in range(1, TRIES + 1):
            data = body() if body else None
            response = await self._session.request(
                method, url, headers=headers, ssl=self.endpoint.tls, data=data, **options
            )
            if response.status not in BUSY or body or method not in READS or attempt == TRIES:
                return response
            pause = _retry_after(response.headers.get("Retry-After", ""), attempt)
            if pause > LONGEST_PAUSE:
                return response
            response.release()
            await asyncio.sleep(pause)
        raise AssertionError("not reached")

    @property
    def patience(self) -> float | None:
        """Return the seconds for which the registry may be silent."""
        return self._session.timeout.sock_read

    def also_read(self, path: str) -> None:
        """Ask for the right to read another repository too, from the next token on."""
        scope = f"repository:{self.endpoint.prefix}{path}:pull"
        if scope not in self._scopes:
            self._scopes.append(scope)
            self._authorization = ""

    async def manifest(self, name: str) -> Document:
        """Return a manifest or index by tag or digest; what a digest names is verified."""
        async with self.request("GET", f"manifests/{name}", headers={"Accept": ACCEPT}) as response:
            data = await limited(response)
            digest = manifest.digest_of(data)
            stated = name if ":" in name else response.headers.get("Docker-Content-Digest", digest)
            if stated.startswith("sha256:") and stated != digest:
                raise PydockError(f"manifest verification failed for digest {stated}: the registry sent {digest}")
            return Document(data, digest, manifest.kind_of(data, response.headers.get("Content-Type", "")))

    async def document(self, digest: str, size: int) -> bytes:
        """Return a small blob, verified."""
        async with self.request("GET", f"blobs/{digest}") as response:
            data = await limited(response)
        if manifest.digest_of(data) != digest or len(data) != size:
            raise PydockError(f"image config verification failed for digest {digest}")
        return data

    async def reached(self) -> bool:
        """Say whether a registry answers here, whatever it says of us."""
        try:
            async with self._session.get(f"{self.endpoint.api}/", ssl=self.endpoint.tls) as response:
                return response.status in (200, 401)
        except aiohttp.ClientError as error:
            raise Unreachable(f'Get "{self.endpoint.api}/": {cause(error)}') from error
        except TimeoutError as error:
            raise Unreachable(f'Get "{self.endpoint.api}/": timeout') from error

    async def tags(self) -> list[str]:
        """Return every tag of the repository, page by page."""
        found: list[str] = []
        where = "tags/list"
        for _ in range(MOST_PAGES):
            async with self.request("GET", where) as response:
                try:
                    found += map(str, jsontext.parsed(await limited(response))["tags"] or ())
                    following = response.links.get("next")
                except (ValueError, TypeError, KeyError) as error:
                    raise PydockError(f"malformed list of tags: {error!r}") from error
            if not following:
                return found
            where = str(following["url"])
        raise PydockError(f"more than {MOST_PAGES} pages of tags")


class Registries:
    """The registries as this daemon reaches them."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.timeout = TIMEOUT
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the session, opened at first use."""
        if self._session is None:
            self._session = web.session(self.timeout, auto_decompress=False, read_bufsize=PIECE)
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def find(
        self, ref: Reference, name: str, credentials: Credentials, actions: str = "pull"
    ) -> tuple[Repository, Document]:
        """Return a manifest of a repository by tag or digest, and the repository where it was found."""
        by_digest = ":" in name
        return await self._first(ref, credentials, actions, lambda found: found.manifest(name), by_digest=by_digest)

    async def tags(self, ref: Reference, credentials: Credentials) -> list[str]:
        """Return every tag of a repository, as the first endpoint says that knows it."""
        _, tags = await self._first(ref, credentials, "pull", Repository.tags, by_digest=False)
        return tags

    async def _first(
        self,
        ref: Reference,
        credentials: Credentials,
        actions: str,
        ask: Callable[[Repository], Awaitable[Answer]],
        *,
        by_digest: bool,
    ) -> tuple[Repository, Answer]:
        """Ask mirrors, then the registry itself; return the first answer and where it came from."""
        failure: PydockError | None = None
        for endpoint in self.hosts.endpoints(ref.domain, ref.path):
            if not (endpoint.digests if by_digest else endpoint.tags and "resolve" in endpoint.actions):
                continue
            if "pull" not in endpoint.actions:
                continue
            given = Credentials() if endpoint.mirror else credentials
            repository = Repository(self.session, endpoint, ref.path, given, actions)
            try:
                answer = await ask(repository)
            except PydockError as error:
                if isinstance(error, Unreachable) or endpoint.mirror:
                    failure = error
                    continue
                raise
            self.hosts.answered(endpoint, ref.domain)
            return repository, answer
        raise failure or PydockError(f"no endpoint for {ref.domain}")

    async def reach(self, ref: Reference, credentials: Credentials, actions: str) -> Repository:
        """Return a repository at the first endpoint of its own registry that answers."""
        failure: PydockError | None = None
        for endpoint in self.hosts.endpoints(ref.domain, ref.path):
            if endpoint.mirror or "push" not in endpoint.actions:
                continue
            repository = Repository(self.session, endpoint, ref.path, credentials, actions)
            try:
                if await repository.reached():
                    return repository
                failure = PydockError(f'Get "{endpoint.api}/": this is no registry')
            except Unreachable as error:
                failure = error
        raise failure or PydockError(f"no endpoint for {ref.domain}")


def _retry_after(text: str, attempt: int) -> float:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3), or a pause that doubles."""
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return float(2**attempt) / 4


async def _refusal(response: aiohttp.ClientResponse) -> PydockError:
    body = (await limited(response))[:4096]
    try:
        first = jsontext.parsed(body)["errors"][0]
        code, message = str(first["code"]), str(first.get("message") or first["code"].lower())
    except (ValueError, KeyError, IndexError, TypeError):
        code = "UNAUTHORIZED" if response.status == 401 else ""
        detail = body.decode(errors="replace").strip().split("\n")[0][:200]
        message = f"received unexpected HTTP status: {response.status} {response.reason}"
        message = "authentication required" if code else f"{message}: {detail}" if detail else message
    return Refused(response.status, code, message)


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
