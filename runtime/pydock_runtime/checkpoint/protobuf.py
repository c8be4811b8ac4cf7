"""Messages of protocol buffers, as far as criu's need it: numbers, text, and messages in them. Used by `rpc`.

A message is a dict here, its form a table: name of a field -> (number, kind), the kind being NUMBER, TEXT or the table
of a message. A list as value stands for a field that comes several times. Encoding: protobuf.dev, "Encoding".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Form = dict[str, tuple[int, Any]]

NUMBER, TEXT = "number", "text"
VARINT, I64, LENGTH, I32 = 0, 1, 2, 5
WIDTHS = {I64: 8, I32: 4}
U64 = (1 << 64) - 1


def encode(form: Form, message: dict[str, Any]) -> bytes:
    """Return a message in the form's encoding; KeyError for a field that the form has not."""
    data = b""
    for name, value in message.items():
        number, kind = form[name]
        for one in value if isinstance(value, list) else [value]:
            if kind == NUMBER:
                data += _varint(number << 3 | VARINT) + _varint(int(one) & U64)
            else:
                inner = one.encode() if kind == TEXT else encode(kind, one)
                data += _varint(number << 3 | LENGTH) + _varint(len(inner)) + inner
    return data


def decode(form: Form, data: bytes) -> dict[str, Any]:
    """Return a message's known fields, of one that comes several times the last; ValueError for what is no message."""
    known = {number: (name, kind) for name, (number, kind) in form.items()}
    message: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        name, kind = known.get(key >> 3, ("", NUMBER))
        value: Any
        if name and key & 7 != (VARINT if kind == NUMBER else LENGTH):
            raise ValueError(f"field {name} is of another kind")
        if key & 7 == VARINT:
            value, at = _read_varint(data, at)
            value = value - (1 << 64) if value >> 63 else value
        elif key & 7 == LENGTH:
            length, at = _read_varint(data, at)
            value, at = _part(data, at, length)
            if name:
                value = value.decode() if kind == TEXT else decode(kind, value)
        elif key & 7 in WIDTHS:
            value, at = _part(data, at, WIDTHS[key & 7])
        else:
            raise ValueError(f"field of an unknown type {key & 7}")
        if name:
            message[name] = value
    return message


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value & U64, at
    raise ValueError("a number that does not end")


def _part(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(data):
        raise ValueError("the end is missing")
    return data[at : at + length], at + length
