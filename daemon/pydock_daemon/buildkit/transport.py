"""gRPC on a connection that HTTP/1.1 has given up: we answer on one of `/grpc`, and ask on one of `/session`.

grpclib speaks it; what is added is that its connections are sockets that are open already, and that ours know their
end. Errors are translated here, in both directions.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from grpclib.client import Channel
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from grpclib.server import Server, Stream
from h2.errors import ErrorCodes
from h2.events import StreamReset
from hyperframe.frame import Frame

from pydock_shared.errors import (
    Conflict,
    Forbidden,
    InvalidArgument,
    NotFound,
    NotSupported,
    PydockError,
    Unauthorized,
    Unavailable,
)

from .messages import CLASSES, make

CODES: dict[type[PydockError], Status] = {
    InvalidArgument: Status.INVALID_ARGUMENT,
    NotFound: Status.NOT_FOUND,
    Forbidden: Status.PERMISSION_DENIED,
    Unauthorized: Status.UNAUTHENTICATED,
    Conflict: Status.FAILED_PRECONDITION,
    NotSupported: Status.UNIMPLEMENTED,
    Unavailable: Status.UNAVAILABLE,
}
"""What the client's errors are here."""
Method = Callable[[Any], Awaitable[None]]
log = logging.getLogger("pydockd.buildkit")
for chatty in ("hpack", "h2", "grpclib"):
    logging.getLogger(chatty).setLevel(logging.WARNING)
# h2 makes a text of each frame for its log, which is off: an eighth of the time in which 20,000 files are told.
Frame.__repr__ = object.__repr__  # type: ignore[method-assign]


class _Details(StatusDetailsCodecBase):
    """Details of an error are a google.rpc.Status beside the words: `(type url, value)` pairs here."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        failure = make("Failure", code=status.value, message=message or "")
        for url, value in details or ():
            failure.details.add(type_url=url, value=value)
        data: bytes = failure.SerializeToString()
        return data

    def decode(self, status: Status, message: str | None, data: bytes) -> Any:
        return None


class _Connection(H2Protocol):
    """A connection that tells its end."""

    def __init__(self, of: H2Protocol) -> None:
        super().__init__(of.handler, of.config, of.h2_config)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.processor.processors[StreamReset] = self._reset

    def _reset(self, event: StreamReset) -> None:
        """Take a reset without an error after a whole answer for its end: so does Go's server say that it has ended.

        RFC 9113, 8.1.
        """
        stream = self.processor.streams.get(event.stream_id or 0)
        if stream is None or stream.trailers is None or event.error_code != ErrorCodes.NO_ERROR:
            self.processor.process_stream_reset(event)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)


class _Methods:
    """What grpclib takes the methods of a server from."""

    def __init__(self, methods: Mapping[str, tuple[Method, str]]) -> None:
        self._methods = methods

    def __mapping__(self) -> dict[str, Handler]:
        return {
            path: Handler(_at_edge(method, path), Cardinality.STREAM_STREAM, CLASSES[kind], object)
            for path, (method, kind) in self._methods.items()
        }


class _Known(dict[str, Handler]):
    """The methods by their paths; grpclib's own answer to another path has no content type, and Go stumbles over it."""

    def get(self, path: str, default: Any = None) -> Any:
        """Return a method; for what there is not, one that says so."""

        async def unknown(stream: Any) -> None:
            raise GRPCError(Status.UNIMPLEMENTED, f"the method {path} is not supported")

        return super().get(path) or Handler(unknown, Cardinality.STREAM_STREAM, CLASSES["Empty"], object)


def _at_edge(method: Method, path: str) -> Method:
    """Return a method whose errors are gRPC's."""

    async def call(stream: Any) -> None:
        try:
            await method(stream)
        except PydockError as error:
            raise failure(error) from error
        except (GRPCError, ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("%s", path)
            raise GRPCError(Status.INTERNAL, str(error)) from error

    return call


def failure(error: PydockError) -> GRPCError:
    """Return an error as gRPC's, without a code as BuildKit's: clients would show it. `details`, if any, go along."""
    return GRPCError(Status.UNKNOWN, error.message, getattr(error, "details", None))


async def serve(sock: socket.socket, methods: Mapping[str, tuple[Method, str]]) -> None:
    """Answer on a connection until the client closes it; `methods` are a function and the kind of message it takes.

    The socket belongs to this call. What a client that goes has asked for is cancelled, and waited for.
    """
    server = Server([_Methods(methods)], status_details_codec=_Details())
    server._mapping = _Known(server._mapping)
    inner = server._protocol_factory()
    connection = _Connection(inner)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(lambda: connection, sock)
    try:
        await connection.closed
    finally:
        transport.abort()
        handler: Any = inner.handler
        handler.close()
        await asyncio.shield(handler.wait_closed())


class Caller(Channel):
    """The asking end: a connection on which the client answers. The socket belongs to it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(status_details_codec=_Details())
        self._sock = sock
        self.connection: _Connection | None = None

    async def open(self) -> None:
        """Begin; ConnectionError, OSError: the client has gone."""
        await self.__connect__()

    async def _create_connection(self) -> H2Protocol:
        if self.connection is not None:
            raise ConnectionError("the client of the build has gone")
        self.connection = connection = _Connection(self._protocol_factory())
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, self._sock)
        return connection

    @asynccontextmanager
    async def call(self, path: str, kind: str, reply: str, metadata: Any = ()) -> AsyncIterator[Any]:
        """Give the stream of a call; errors are ours, NotSupported: the client does not know the method."""
        with _from_grpc():
            method = self.request(
                path, Cardinality.STREAM_STREAM, CLASSES[kind], CLASSES[reply], metadata=list(metadata)
            )
            async with method as stream:
                yield stream

    async def ask(self, path: str, message: Any, reply: str) -> Any:
        """Return the answer to one message."""
        with _from_grpc():
            method = self.request(path, Cardinality.UNARY_UNARY, type(message), CLASSES[reply])
            async with method as stream:
                await stream.send_message(message, end=True)
                return await stream.recv_message()


@contextmanager
def _from_grpc() -> Any:
    try:
        yield
    except GRPCError as error:
        kind = next((kind for kind, code in CODES.items() if code == error.status), PydockError)
        raise kind(error.message or error.status.name.lower()) from error
    except StreamTerminatedError as error:
        raise ConnectionError("the client of the build has gone") from error


__all__ = ["Caller", "Method", "Stream", "failure", "serve"]
