"""Connections as aiohttp has them, but for two manners of clients. Used by `app`.

Some end their side of a connection when they have asked, and read the answer still; some send half of a body, and then
something else.

asyncio ends a connection with the client's side of it. Whoever asks for a change is answered all the same, as by Go's
server; for what has no end of its own, the end of the client's side is the client's end.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pydock_shared.errors import InvalidArgument

Stays = Callable[[str, str], bool]
"""Says of a method and a raw path whether its client is to be answered after its side has ended."""


Asked = tuple[str, str, Any]
"""Method, raw path and body."""


class Connection(RequestHandler):
    """aiohttp's; whoever makes the object of a request tells it what is `asked`."""

    __slots__ = ("_stays", "asked")

    def __init__(self, server: "Server", stays: Stays) -> None:
        super().__init__(server, loop=server._loop, **server._kwargs)
        self._stays = stays
        self.asked: Asked | None = None

    def data_received(self, data: bytes) -> None:
        """Take in what came. A body that turns out to make no sense ends for whoever reads it: aiohttp's parser only
        speaks of it as of a next request."""
        super().data_received(data)
        if self.asked and not self.asked[2].is_eof() and self._messages and not hasattr(self._messages[-1][0], "url"):
            self.asked[2].set_exception(InvalidArgument("invalid request: the body is malformed"))

    def eof_received(self) -> bool | None:  # type: ignore[override] # asyncio's own promise, of which theirs is a part
        asked = self._last()
        if asked is None or not asked[2].is_eof() or not self._stays(asked[0], asked[1]):
            return None
        self.close()  # after the answer
        return True

    def _last(self) -> Asked | None:
        """Return the last request that is not answered yet, begun or not; None without one, and for what is none."""
        if self._messages:
            message: Any = self._messages[-1][0]
            return (message.method, message.url.raw_path, self._messages[-1][1]) if hasattr(message, "url") else None
        idle = self._waiter is not None and not self._waiter.done()
        return None if idle else self.asked


class Server(web.Server):
    """aiohttp's, whose connections outlive the client's side of them for some requests."""

    def __init__(self, *arguments: Any, stays: Stays, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stays = stays

    def __call__(self) -> RequestHandler:
        return Connection(self, self._stays)
