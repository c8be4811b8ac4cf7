"""A repository of a registry, asked from this side without a daemon. Used by the `manifest` commands.

Protocol: OCI distribution specification 1.1; authentication by password or by token. Requests go by `requests`, which
is loaded when the first one is made. The session belongs to the Remote, to the end of its block.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re

from pydock_client import auth
from pydock_shared.errors import NotFound, PydockError, from_status
from pydock_shared.reference import HUB, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import requests

    from pydock_client.settings import Settings

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LISTS = (OCI_INDEX, DOCKER_LIST)
_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
_HUB_HOST = "registry-1.docker.io"
_LARGEST = 8 << 20
_TIMEOUT = (30, 60)


class Remote:
    """The repository of a reference; with `insecure` also one without a certificate that is good, or without TLS."""

    def __init__(self, settings: Settings, ref: Reference, *, insecure: bool) -> None:
        import requests

        self._settings, self._ref = settings, ref
        self._session = requests.Session()
        # For each request, since the session's own would give way to REQUESTS_CA_BUNDLE of the environment.
        self._options: dict[str, Any] = {"timeout": _TIMEOUT, "verify": not insecure}
        host = _HUB_HOST if ref.domain == HUB else ref.domain
        self._bases = [f"https://{host}"] + ([f"http://{host}"] if insecure else [])

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        self._session.close()

    def manifest(self, name: str) -> tuple[bytes, str]:
        """Return a manifest or list by tag or digest, verified, and its media type; NotFound when there is none."""
        answer = self._send("GET", f"manifests/{name}", headers={"Accept": _ACCEPT})
        data = answer.content
        if len(data) > _LARGEST:
            raise PydockError(f"{self._ref.familiar()}: a manifest of {len(data)} bytes")
        if ":" in name and name != digest_of(data):
            raise PydockError(f"manifest verification failed for digest {name}")
        kind = str(_object(data).get("mediaType") or answer.headers.get("Content-Type", "").partition(";")[0])
        return data, kind

    def document(self, digest: str) -> dict[str, Any]:
        """Return a small blob that is JSON, verified."""
        data = self._send("GET", f"blobs/{digest}").content
        if digest_of(data) != digest:
            raise PydockError(f"verification failed for digest {digest}")
        return _object(data)

    def put(self, name: str, data: bytes, kind: str) -> str:
        """Store a manifest under a tag or its digest; returns its digest."""
        self._send("PUT", f"manifests/{name}", data=data, headers={"Content-Type": kind})
        return digest_of(data)

    def mount(self, digest: str, source: str) -> None:
        """Have a blob of another repository of this registry here too; PydockError when that cannot be."""
        answer = self._send("POST", f"blobs/uploads/?mount={digest}&from={source}", more=source)
        if answer.status_code != 201:
            raise PydockError(f"the registry does not mount blob {digest} from {source}")

    def _send(self, method: str, where: str, more: str = "", **options: Any) -> requests.Response:
        import requests

        failure: Exception | None = None
        for base in self._bases:
            try:
                answer = self._with_login(method, f"{base}/v2/{self._ref.path}/{where}", more, options)
            except requests.RequestException as error:
                failure = error
                continue
            self._bases = [base]
            if answer.status_code >= 400:
                raise from_status(answer.status_code, _words(answer))
            return answer
        raise NotFound(f"{self._ref.domain}: {failure}")

    def _with_login(self, method: str, url: str, more: str, options: dict[str, Any]) -> requests.Response:
        answer = self._session.request(method, url, **self._options, **options)
        if answer.status_code != 401:
            return answer
        challenge = answer.headers.get("WWW-Authenticate", "")
        known = auth.load(self._settings, auth.server_of(self._ref.domain))
        login = (known["username"], known.get("password", "")) if known.get("username") else None
        if challenge.lower().startswith("bearer"):
            self._session.headers["Authorization"] = f"Bearer {self._token(challenge, known, login, more)}"
        elif login:
            pair = base64.b64encode(":".join(login).encode()).decode()
            self._session.headers["Authorization"] = f"Basic {pair}"
        return self._session.request(method, url, **self._options, **options)

    def _token(self, challenge: str, known: dict[str, Any], login: tuple[str, str] | None, more: str) -> str:
        """Ask the server that a challenge names for a token to read and write here, and to read in `more`."""
        facts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        scopes = [f"repository:{self._ref.path}:pull,push"] + ([f"repository:{more}:pull"] if more else [])
        query: dict[str, Any] = {"service": facts.get("service", ""), "scope": scopes}
        realm, token = facts.get("realm", ""), known.get("identitytoken")
        headers = {"Authorization": ""}  # none of the session's
        if token:
            body = query | {"scope": " ".join(scopes), "grant_type": "refresh_token", "refresh_token": token}
            body["client_id"] = "pydock"
            answer = self._session.post(realm, data=body, headers=headers, **self._options)
        else:
            answer = self._session.get(realm, params=query, auth=login, headers=headers, **self._options)
        found = _object(answer.content) if answer.ok else {}
        return str(found.get("token") or found.get("access_token") or "")


def digest_of(data: bytes) -> str:
    """Return the digest of a document."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PydockError(f"the registry's answer is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise PydockError("the registry's answer is no JSON object")
    return found


def _words(answer: requests.Response) -> str:
    try:
        first = answer.json()["errors"][0]
        return f"{str(first['code']).lower().replace('_', ' ')}: {first.get('message', '')}"
    except (ValueError, KeyError, IndexError, TypeError):
        return f"received unexpected HTTP status: {answer.status_code} {answer.reason}"
