"""What a handler is given and how a path finds it; used by every file of `api` and by the server.

A route is a row `(method, pattern, handler)`. A pattern's `{name}` stands for one segment, `{name:path}` for one or
more (image names contain slashes). The version prefix is taken off before.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from pydock_daemon import __version__
from pydock_shared import jsontext
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters
from pydock_shared.filters import parse as parse_filters
from pydock_shared.wire import decode

from . import versions

if TYPE_CHECKING:
    from pydock_daemon.config import Config
    from pydock_daemon.engine import Engine

M = TypeVar("M", bound=BaseModel)
SERVER = f"Pydock/{__version__} (linux)"
NUMBER = re.compile("[+-]?[0-9]{1,30}")
FALSE = {"", "0", "no", "false", "none"}


class Call:
    """One request on its way to a handler."""

    __slots__ = ("engine", "params", "query", "request", "version")

    def __init__(
        self, engine: "Engine", request: web.BaseRequest, params: dict[str, str], version: tuple[int, int]
    ) -> None:
        self.engine = engine
        self.request = request
        self.params = params
        self.version = version
        self.query: MultiMapping[str] = request.rel_url.query

    async def json(self, *, any_type: bool = False) -> Any:
        """Return the decoded body, None when it is empty; InvalidArgument when it is not JSON or not said to be.

        A page of a browser may send anybody bodies of other types (`any_type`) without being asked whether it may.
        """
        try:
            raw = await self.request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise InvalidArgument("invalid JSON: the body is too large") from error
        if not raw:
            return None
        if not any_type:
            self._check_json()
        try:
            data = jsontext.parsed(raw)
            return _clean(data) if b"\\u0000" in raw or b"\\ud" in raw.lower() else data
        except ValueError as error:
            raise InvalidArgument(f"invalid JSON: {error}") from error

    def _check_json(self) -> None:
        said = self.request.headers.get("Content-Type", "")
        kind = said.partition(";")[0].strip().lower()
        if not kind:
            raise InvalidArgument(f"malformed Content-Type header ({said}): mime: no media type")
        if kind != "application/json":
            raise InvalidArgument(f"unsupported Content-Type header ({said}): must be 'application/json'")

    async def body(self, model: type[M], *, any_type: bool = False) -> M:
        """Return the body as a wire model; InvalidArgument names the field that is wrong."""
        data = await self.json(any_type=any_type)
        return decode(model, {} if data is None else data)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean parameter by Docker's rule: everything but a few words for no is true."""
        if name not in self.query:
            return default
        return self.query[name].strip().lower() not in FALSE

    def number(self, name: str) -> int | None:
        """Return an integer parameter, None when absent."""
        text = self.query.get(name, "")
        if not text:
            return None
        if not NUMBER.fullmatch(text):
            raise InvalidArgument(f"invalid value for {name}: {text!r} is not a number")
        number = int(text)
        if not -(1 << 63) <= number < 1 << 63:
            raise InvalidArgument(f"invalid value for {name}: {text!r} is out of range")
        return number

    def streamed(self, content_type: str, headers: dict[str, str] | None = None) -> web.StreamResponse:
        """Return an answer that is sent piece by piece, chunked; it has not begun."""
        named = {"Content-Type": content_type, **(headers or {})}
        response = web.StreamResponse(headers=identity(self.engine.config) | named)
        response.enable_chunked_encoding()
        return response

    def filters(self) -> Filters:
        """Return the `filters` parameter; InvalidArgument when malformed."""
        return parse_filters(self.query.get("filters", ""))


Handler = Callable[[Call], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]


class Router:
    """A tree of path segments with the handlers at its leaves."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._patterns: dict[str, list[tuple[list[str], Handler]]] = {}
        for method, pattern, handler in routes:
            if "{" not in pattern:
                self._exact[method, pattern] = handler
            else:
                self._patterns.setdefault(method, []).append((pattern.strip("/").split("/"), handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """Return the handler of a path (still percent-encoded, no version prefix) and its parameters."""
        # A name may be given as it is shown, with its slash: /containers//web/json.
        while "//" in path:
            path = path.replace("//", "/")
        exact = self._exact.get((method, path))
        if exact:
            return exact, {}
        segments = path.strip("/").split("/")
        for pattern, handler in self._patterns.get(method, ()):
            params = match(pattern, segments)
            if params is not None:
                return handler, params
        return None


def match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """Return the parameters when the segments fit the pattern, which has at most one `{x:path}`."""
    if len(segments) < len(pattern):
        return None
    spare = len(segments) - len(pattern)
    params: dict[str, str] = {}
    at = 0
    for part in pattern:
        if part.endswith(":path}"):
            params[part[1:-6]] = unquote("/".join(segments[at : at + spare + 1]))
            at += spare + 1
            continue
        if part.startswith("{"):
            if not segments[at]:
                return None
            params[part[1:-1]] = unquote(segments[at])
        elif part != segments[at]:
            return None
        at += 1
    return params if at == len(segments) else None


def _clean(data: Any) -> Any:
    """Return JSON with half surrogates replaced, as Go does; ValueError for a null character: no file name has it."""
    if isinstance(data, str):
        if "\0" in data:
            raise ValueError(f"a text with a null character: {data[:40]!r}")
        return data.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(data, list):
        return [_clean(item) for item in data]
    if isinstance(data, dict):
        return {_clean(key): _clean(value) for key, value in data.items()}
    return data


def terminal_size(call: Call) -> tuple[int, int]:
    """Return the parameters w and h of a terminal; InvalidArgument when one is missing or no terminal has it."""
    width, height = call.number("w"), call.number("h")
    if width is None or height is None:
        raise InvalidArgument("invalid size: h and w are needed")
    if not (0 <= width < 1 << 16 and 0 <= height < 1 << 16):
        raise InvalidArgument(f"invalid size: {width}x{height}")
    return width, height


def encoded(data: Any) -> bytes:
    """Return data as JSON without spaces, as Go writes it."""
    try:
        return to_json(data)
    except PydanticSerializationError:  # a name that is not UTF-8, which the other one escapes
        return json.dumps(data, separators=(",", ":")).encode()


def json_response(data: Any, status: int = 200) -> web.Response:
    """Return data as Docker's JSON: with a newline at its end."""
    return web.Response(body=encoded(data) + b"\n", status=status, content_type="application/json")


def identity(config: "Config") -> dict[str, str]:
    """Return the headers that every answer has: whose it is, and which versions of the API there are."""
    return {
        "Api-Version": versions.text(versions.NEWEST),
        "Server": SERVER,
        "Ostype": "linux",
        "Docker-Experimental": "true" if config.experimental else "false",
    }


def empty(status: int = 204) -> web.Response:
    """Return an answer without a body."""
    return web.Response(status=status)
