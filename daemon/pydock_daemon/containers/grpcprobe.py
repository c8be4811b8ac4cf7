"""The standard question of gRPC after health, grpc.health.v1.Health/Check, over a caller's socket. Used by `probes`.

One stream of one HTTP/2 connection; the two messages have one field each, so nothing but their bytes is written here.
"""

import asyncio
import socket
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import H2Error

PATH = "/grpc.health.v1.Health/Check"
STATES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
SERVING = "SERVING"
LONGEST = 4096
"""Bytes of an answer that are read; the message has two."""
READ = 65536


@dataclass
class _Reply:
    headers: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    ended: bool = False


async def check(sock: socket.socket, authority: str, service: str) -> str:
    """Return one of STATES. OSError, ValueError: there is no gRPC, or it knows nothing of health or of the service."""
    try:
        reply = await _ask(sock, authority, service)
    except H2Error as error:
        raise ValueError(f"not gRPC: {error}") from error
    status = reply.headers.get("grpc-status", "")
    if status != "0":
        raise ValueError(f"grpc-status {status or 'is missing'} {reply.headers.get('grpc-message', '')}".rstrip())
    return _state(bytes(reply.data))


async def _ask(sock: socket.socket, authority: str, service: str) -> _Reply:
    loop, reply = asyncio.get_running_loop(), _Reply()
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    headers = {":method": "POST", ":scheme": "http", ":authority": authority, ":path": PATH}
    headers |= {"te": "trailers", "content-type": "application/grpc", "user-agent": "pydock-health"}
    connection.send_headers(stream, list(headers.items()))
    connection.send_data(stream, _request(service), end_stream=True)
    while not reply.ended:
        await loop.sock_sendall(sock, connection.data_to_send())
        received = await loop.sock_recv(sock, READ)
        if not received:
            raise ValueError("not gRPC: the connection was closed")
        for event in connection.receive_data(received):
            _take(reply, event)
    return reply


def _take(reply: _Reply, event: events.Event) -> None:
    if isinstance(event, events.ResponseReceived | events.TrailersReceived):
        reply.headers |= {str(name): str(value) for name, value in event.headers or ()}
    elif isinstance(event, events.DataReceived):
        reply.data += event.data or b""
        if len(reply.data) > LONGEST:
            raise ValueError("the answer is too long")
    elif isinstance(event, events.StreamEnded):
        reply.ended = True
    elif isinstance(event, events.StreamReset | events.ConnectionTerminated):
        raise ValueError(f"not gRPC: error {event.error_code}")


def _request(service: str) -> bytes:
    """Return HealthCheckRequest {string service = 1} as a message of gRPC: not compressed, its length, its bytes."""
    name = service.encode()
    size = bytes([len(name)]) if len(name) < 128 else bytes([len(name) & 127 | 128, len(name) >> 7])
    message = b"\x0a" + size + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _state(data: bytes) -> str:
    """Read HealthCheckResponse {ServingStatus status = 1}; a field that is not there is 0."""
    message = data[5:]
    if len(data) < 5 or data[0] != 0 or int.from_bytes(data[1:5], "big") != len(message):
        raise ValueError("not a message of gRPC")
    if not message:
        return STATES[0]
    if len(message) < 2 or message[0] != 0x08 or message[1] >= len(STATES):
        raise ValueError("not an answer about health")
    return STATES[message[1]]
