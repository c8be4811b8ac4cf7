"""A client of D-Bus, as much as a call to systemd needs: one connection, one call at a time. Used by `cgroup.systemd`.

Sources: the D-Bus specification (message format, EXTERNAL authentication); systemd's own socket speaks the same without
a bus in between. What comes is systemd's, root's own.
"""

from __future__ import annotations

import os
import socket
import struct

from pydock_runtime.errors import RuntimeFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SYSTEMD, BUS = "/run/systemd/private", "/run/dbus/system_bus_socket"
PATIENCE = 30.0
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8
HEADER = "yyyyuua(yv)"
FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
STRUCTS = "({"  # an entry of a dictionary is laid out as a struct of two
STRINGS = {"s": "I", "o": "I", "g": "B"}


class Failed(RuntimeFailure):
    """An answer that is an error; `name` is D-Bus's for it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Connection:
    """A connection to systemd itself, or to the system's bus where that is all there is. Use as a context manager."""

    def __init__(self, address: str = "") -> None:
        """Connect. RuntimeFailure: there is no systemd that answers."""
        address = address or (SYSTEMD if os.path.exists(SYSTEMD) else BUS)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._sock.settimeout(PATIENCE)
        self._serial = 0
        self._signals: list[tuple[str, list[Any]]] = []
        try:
            self._sock.connect(address)
            self._authenticate()
        except OSError as error:
            self._sock.close()
            raise RuntimeFailure(f"systemd does not answer at {address}: {error.strerror or error}") from error
        if address == BUS:
            bus = "org.freedesktop.DBus"
            self.call("/org/freedesktop/DBus", bus, "Hello", destination=bus)
            self.call("/org/freedesktop/DBus", bus, "AddMatch", "s", "type='signal'", destination=bus)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.close()

    def _authenticate(self) -> None:
        # All at once, as systemd's own clients do: what comes together with BEGIN is left lying, so the first message
        # must come after it was read, as the answer shows.
        name = str(os.geteuid()).encode().hex().encode()
        self._sock.sendall(b"\0AUTH EXTERNAL " + name + b"\r\nBEGIN\r\n")
        answer = b""
        while not answer.endswith(b"\r\n") and (piece := self._sock.recv(1)):
            answer += piece
        if not answer.startswith(b"OK"):
            raise OSError(0, f"it does not let us in: {answer.decode(errors='replace').strip()}")

    def call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any, destination: str
    ) -> list[Any]:
        """Call a method and return what it returns. Failed: it is an error. RuntimeFailure: there is no answer."""
        self._serial += 1
        fields = [(PATH, ("o", path)), (INTERFACE, ("s", interface)), (MEMBER, ("s", member))]
        fields.append((DESTINATION, ("s", destination)))
        if signature:
            fields.append((SIGNATURE, ("g", signature)))
        data = marshal(signature, body)
        head = marshal(HEADER, (ord("l"), CALL, 0, 1, len(data), self._serial, fields))
        try:
            self._sock.sendall(head + bytes(-len(head) % 8) + data)
        except OSError as error:
            raise RuntimeFailure(f"systemd has closed the connection: {error.strerror or error}") from error
        while True:
            kind, found, arguments = self._receive()
            if kind == SIGNAL:
                self._signals.append((found[MEMBER], arguments))
            elif found.get(REPLY) == self._serial:
                if kind == ERROR:
                    raise Failed(found[ERROR_NAME], str(arguments[0]) if arguments else found[ERROR_NAME])
                return arguments

    def wait(self, member: str, chosen: Callable[[list[Any]], bool]) -> list[Any]:
        """Return the arguments of the first signal of a name that is the one; RuntimeFailure when it does not come."""
        while True:
            while self._signals:
                name, arguments = self._signals.pop(0)
                if name == member and chosen(arguments):
                    return arguments
            kind, found, arguments = self._receive()
            if kind == SIGNAL:
                self._signals.append((found[MEMBER], arguments))

    def _receive(self) -> tuple[int, dict[int, Any], list[Any]]:
        first = self._read(16)
        length, _, fields = struct.unpack_from("<3I", first, 4)
        rest = self._read(fields + -fields % 8 + length)
        data = first + rest
        *_, pairs = unmarshal(HEADER, data)
        found = dict(pairs)
        body = data[len(data) - length :]
        return first[1], found, unmarshal(found.get(SIGNATURE, ""), body)

    def _read(self, size: int) -> bytes:
        data = b""
        try:
            while len(data) < size:
                piece = self._sock.recv(size - len(data))
                if not piece:
                    raise RuntimeFailure("systemd has closed the connection")
                data += piece
        except TimeoutError as error:
            raise RuntimeFailure(f"systemd does not answer within {PATIENCE:.0f} seconds") from error
        except OSError as error:
            raise RuntimeFailure(f"systemd has closed the connection: {error.strerror or error}") from error
        return data


def types(signature: str) -> list[str]:
    """Return the complete types that a signature is made of."""
    found = []
    while signature:
        size = _length(signature)
        found.append(signature[:size])
        signature = signature[size:]
    return found


def _length(signature: str) -> int:
    if signature[0] == "a":
        return 1 + _length(signature[1:])
    if signature[0] not in STRUCTS:
        return 1
    depth = 0
    for at, letter in enumerate(signature):
        depth += (letter in STRUCTS) - (letter in ")}")
        if not depth:
            return at + 1
    raise ValueError(f"not a signature: {signature}")


def _alignment(type_: str) -> int:
    if type_[0] in FIXED:
        return struct.calcsize(FIXED[type_[0]])
    return {"(": 8, "{": 8, "g": 1, "v": 1}.get(type_[0], 4)


def marshal(signature: str, values: Any) -> bytes:
    """Return values in the little-endian form; a variant is a pair of its signature and its value."""
    data = bytearray()
    for type_, value in zip(types(signature), values, strict=True):
        _put(data, type_, value)
    return bytes(data)


def _put(data: bytearray, type_: str, value: Any) -> None:
    data += bytes(-len(data) % _alignment(type_))
    if type_ in FIXED:
        data += struct.pack("<" + FIXED[type_], value)
    elif type_ in STRINGS:
        text = value.encode()
        data += struct.pack("<" + STRINGS[type_], len(text)) + text + b"\0"
    elif type_ == "v":
        _put(data, "g", value[0])
        _put(data, value[0], value[1])
    elif type_[0] in STRUCTS:
        for part, inner in zip(types(type_[1:-1]), value, strict=True):
            _put(data, part, inner)
    else:
        at = len(data)
        data += bytes(4)
        data += bytes(-len(data) % _alignment(type_[1:]))
        start = len(data)
        for item in value:
            _put(data, type_[1:], item)
        struct.pack_into("<I", data, at, len(data) - start)


def unmarshal(signature: str, data: bytes) -> list[Any]:
    """Return the values of a little-endian message; a variant is its value."""
    at, found = 0, []
    for type_ in types(signature):
        value, at = _get(data, at, type_)
        found.append(value)
    return found


def _get(data: bytes, at: int, type_: str) -> tuple[Any, int]:
    at += -at % _alignment(type_)
    if type_ in FIXED:
        (value,) = struct.unpack_from("<" + FIXED[type_], data, at)
        return value, at + struct.calcsize(FIXED[type_])
    if type_ in STRINGS:
        (size,) = struct.unpack_from("<" + STRINGS[type_], data, at)
        at += struct.calcsize(STRINGS[type_])
        return data[at : at + size].decode(), at + size + 1
    if type_ == "v":
        inner, at = _get(data, at, "g")
        return _get(data, at, inner)
    parts: list[Any] = []
    if type_[0] in STRUCTS:
        for part in types(type_[1:-1]):
            value, at = _get(data, at, part)
            parts.append(value)
        return tuple(parts), at
    (size,) = struct.unpack_from("<I", data, at)
    at += 4
    at += -at % _alignment(type_[1:])
    end = at + size
    while at < end:
        value, at = _get(data, at, type_[1:])
        parts.append(value)
    return parts, end
