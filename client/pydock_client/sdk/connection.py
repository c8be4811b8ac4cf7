"""The connection of the SDK: requests to the daemon, and what all objects of the daemon have in common.

Used by the other modules of the SDK. Requests go by requests-unixsocket; the Connection closes its session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests
import requests_unixsocket

from pydock_client.settings import DEFAULT_HOST
from pydock_client.tls import Tls, wanted
from pydock_shared.errors import PydockError, Unavailable, from_status
from pydock_shared.filters import Filters

Json = dict[str, Any]


class Connection:
    """Sends requests to a daemon; `host` is what `-H` takes, or is taken from the environment, as its certificates."""

    def __init__(self, host: str, timeout: float | None, tls: Tls | None = None) -> None:
        self.host = host or os.environ.get("PYDOCK_HOST") or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        scheme, _, rest = self.host.partition("://")
        if tls is None and os.environ.get("DOCKER_TLS_VERIFY"):
            tls = wanted(os.path.expanduser("~/.docker"), verify=True)
        plain = "http" if tls is None else "https"
        self._base = f"http+unix://{quote(rest, safe='')}" if scheme == "unix" else f"{plain}://{rest}"
        self._session = requests_unixsocket.Session()
        if tls is not None:
            self._session.trust_env = False  # a bundle named in the environment would be preferred
            self._session.verify = tls.authority if tls.verify else False
            self._session.cert = (tls.certificate, tls.key) if tls.certificate else None
        self._timeout = timeout

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def json(self, method: str, path: str, query: Json | None = None, body: Any = None) -> Any:
        """Return the JSON of an answer, None when it is empty; the error it stands for is raised."""
        answer = self.send(method, path, query, body)
        return answer.json() if answer.content else None

    def send(
        self, method: str, path: str, query: Json | None = None, body: Any = None, *, stream: bool = False
    ) -> requests.Response:
        """Send a request; the error of the answer is raised.

        A body of bytes, a file or an iterator of pieces goes as it is, another one as JSON.
        """
        raw = body is None or isinstance(body, bytes | Iterator) or hasattr(body, "read")
        try:
            answer: requests.Response = self._session.request(
                method,
                self._base + quote(path),
                params={key: _parameter(value) for key, value in (query or {}).items() if value not in (None, "")},
                data=body if raw else json.dumps(body),
                headers={"Content-Type": "application/x-tar" if raw else "application/json"},
                stream=stream,
                timeout=self._timeout,
            )
        except requests.exceptions.SSLError as error:
            raise Unavailable(f"cannot trust the daemon at {self.host}: {error}") from error
        except requests.ConnectionError as error:
            raise Unavailable(f"Cannot connect to the pydock daemon at {self.host}. Is pydockd running?") from error
        if answer.status_code >= 300:
            raise from_status(answer.status_code, _message(answer))
        return answer


def _parameter(value: Any) -> Any:
    if isinstance(value, bool):
        return "1" if value else "0"
    return Filters(value).encode() if isinstance(value, dict) else value


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip() or answer.reason


def lines(answer: requests.Response) -> Iterator[Json]:
    """Yield the JSON objects of a stream; an error in it is raised."""
    with answer:
        for line in answer.iter_lines():
            if not line:
                continue
            entry = json.loads(line)
            if entry.get("error"):
                raise PydockError((entry.get("errorDetail") or {}).get("message") or entry["error"])
            yield entry


class Thing:
    """An object of the daemon: `id`, and `attributes` as it described them."""

    path = ""

    def __init__(self, connection: Connection, attributes: Json) -> None:
        self.connection = connection
        self.attributes = attributes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def id(self) -> str:
        """The identity of the object."""
        return str(self.attributes["Id"])

    @property
    def name(self) -> str:
        """The name a person gave it."""
        return str(self.attributes.get("Name") or self.id)

    @property
    def url(self) -> str:
        """Where the object is."""
        return self.path.format(self.id)

    def reload(self) -> None:
        """Ask the daemon again."""
        self.attributes = self.connection.json("GET", self.url)
