"""A client that keeps many connections busy with one request: raw sockets, one thread. Used by `rows`.

It has to cost less than what it measures, so an answer is only read to its end.
"""

import re
import selectors
import socket
import time
from typing import NamedTuple

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Load(NamedTuple):
    """What came of it: answers a second, and the time within which 99 of 100 came, in milliseconds."""

    per_second: float
    p99: float


class _Connection:
    def __init__(self, path: str, request: bytes) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self._request = request
        self.ask()

    def ask(self) -> None:
        self._data = bytearray()
        self._end = -1
        self.begun = time.perf_counter()
        self.sock.sendall(self._request)

    def answered(self) -> bool:
        """Read what there is; say whether the answer is complete."""
        piece = self.sock.recv(1 << 18)
        assert piece, "the engine closed a connection"
        self._data += piece
        if self._end < 0:
            head = self._data.find(b"\r\n\r\n")
            if head < 0:
                return False
            assert self._data.startswith(b"HTTP/1.1 200"), bytes(self._data[:200])
            length = LENGTH.search(self._data, 0, head)
            self._end = head + 4 + int(length[1]) if length else 0
        return len(self._data) >= self._end if self._end else self._data.endswith(b"\r\n0\r\n\r\n")


def load(path: str, target: str, connections: int, seconds: float) -> Load:
    """Ask for `target` over so many connections for so long."""
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    opened = [_Connection(path, request) for _ in range(connections)]
    times: list[float] = []
    begun = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for connection in opened:
            selector.register(connection.sock, selectors.EVENT_READ, connection)
        while time.perf_counter() < begun + seconds:
            for key, _ in selector.select(1):
                if key.data.answered():
                    times.append(time.perf_counter() - key.data.begun)
                    key.data.ask()
    for connection in opened:
        connection.sock.close()
    times.sort()
    return Load(len(times) / seconds, times[int(len(times) * 0.99)] * 1000)
