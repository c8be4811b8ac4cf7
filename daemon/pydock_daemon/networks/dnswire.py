"""Messages of DNS (RFC 1035, EDNS of RFC 6891), as far as a name server for containers reads and writes them.

Used by `names` and `nameserver`. What a container sends is hostile until read: lengths are bounds, nothing recurses,
compression (which a question has no use for) is refused. What is not ours goes upstream and back as bytes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = struct.Struct("!HHHHHH")
QUESTION_END = struct.Struct("!HH")
RECORD = struct.Struct("!HHIH")
A, PTR, AAAA, OPT = 1, 12, 28, 41
IN = 1
NOERROR, FORMERR, SERVFAIL, NOTIMP, REFUSED = 0, 1, 2, 4, 5
RESPONSE, TRUNCATED, RECURSION_DESIRED, RECURSION_AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
OPCODE = 0x7800
LONGEST_LABEL, LONGEST_NAME = 63, 255
SMALLEST_UDP, LARGEST_UDP = 512, 4096
NAME_OF_QUESTION = 0xC00C
"""A pointer to the name in the question, which stands right behind the header."""


class Malformed(Exception):
    """A message that is no query: not to be answered, unless `rcode` says how."""

    def __init__(self, rcode: int | None = None) -> None:
        super().__init__(rcode)
        self.rcode = rcode


@dataclass(frozen=True)
class Query:
    """One question. `name` has no dot at its end and is in lower case; `size` is what a datagram may have."""

    id: int
    flags: int
    name: str
    type: int
    question: bytes
    size: int
    edns: bool


def parse(data: bytes) -> Query:
    """Return the query of a message; Malformed when it is none."""
    if len(data) < HEADER.size:
        raise Malformed
    id_, flags, questions, answers, authorities, additional = HEADER.unpack_from(data)
    if flags & RESPONSE:
        raise Malformed
    if flags & OPCODE:
        raise Malformed(NOTIMP)
    if questions != 1:
        raise Malformed(FORMERR)
    labels, at = _labels(data, HEADER.size)
    if at + QUESTION_END.size > len(data):
        raise Malformed(FORMERR)
    kind, _ = QUESTION_END.unpack_from(data, at)
    at += QUESTION_END.size
    size = _edns(data, at) if additional and not answers and not authorities else None
    name = b".".join(labels).decode("latin-1").lower()
    return Query(
        id_,
        flags,
        # A dot within a label makes it a name that nothing of ours has.
        "" if any(b"." in label for label in labels) else name,
        kind,
        data[HEADER.size : at],
        min(max(size or 0, SMALLEST_UDP), LARGEST_UDP),
        size is not None,
    )


def _labels(data: bytes, at: int) -> tuple[list[bytes], int]:
    labels: list[bytes] = []
    start = at
    while True:
        if at >= len(data) or at - start > LONGEST_NAME:
            raise Malformed(FORMERR)
        length = data[at]
        at += 1
        if length == 0:
            return labels, at
        if length > LONGEST_LABEL or at + length > len(data):
            raise Malformed(FORMERR)
        labels.append(data[at : at + length])
        at += length


def _edns(data: bytes, at: int) -> int | None:
    """Return the size of datagrams that an OPT record right here allows, None when there is none."""
    if at + 1 + RECORD.size > len(data) or data[at] != 0:
        return None
    kind, size, _, _ = RECORD.unpack_from(data, at + 1)
    return size if kind == OPT else None


def reply(query: Query, rcode: int, answers: Sequence[bytes] = (), *, ttl: int = 0, datagram: bool = True) -> bytes:
    """Return the answer to a query; what is too long for its datagram is cut off at a record, and says so."""
    records = [_record(query.type, answer, ttl) for answer in answers]
    extra = b"\0" + RECORD.pack(OPT, LARGEST_UDP, 0, 0) if query.edns else b""
    limit = query.size if datagram else 0xFFFF
    room = limit - HEADER.size - len(query.question) - len(extra)
    flags = RESPONSE | RECURSION_AVAILABLE | query.flags & RECURSION_DESIRED | rcode
    while sum(map(len, records)) > room:
        records.pop()
        flags |= TRUNCATED
    header = HEADER.pack(query.id, flags, 1, len(records), 0, 1 if extra else 0)
    return header + query.question + b"".join(records) + extra


def _record(kind: int, data: bytes, ttl: int) -> bytes:
    return struct.pack("!H", NAME_OF_QUESTION) + RECORD.pack(kind, IN, ttl, len(data)) + data


def complaint(data: bytes, rcode: int) -> bytes:
    """Return an answer to what could not be read but for its header."""
    id_, flags, *_ = HEADER.unpack_from(data)
    return HEADER.pack(id_, RESPONSE | RECURSION_AVAILABLE | flags & (OPCODE | RECURSION_DESIRED) | rcode, 0, 0, 0, 0)


def encode_name(name: str) -> bytes:
    """Return a name as the data of a record; labels too long for DNS are cut."""
    labels = [label.encode("latin-1", "replace")[:LONGEST_LABEL] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def answers(data: bytes, query: Query, id_: int) -> bool:
    """Say whether a message is the answer of an upstream server to this query, sent with this id."""
    if len(data) < HEADER.size:
        return False
    number, flags, questions, *_ = HEADER.unpack_from(data)
    if number != id_ or not flags & RESPONSE:
        return False
    # A server that did not understand may leave the question out.
    return questions == 0 or data[HEADER.size : HEADER.size + len(query.question)] == query.question


def rcode(data: bytes) -> int:
    """Return the response code of a message."""
    code: int = HEADER.unpack_from(data)[1] & 0xF
    return code


def with_id(data: bytes, id_: int) -> bytes:
    """Return a message with another id."""
    return struct.pack("!H", id_) + data[2:]
