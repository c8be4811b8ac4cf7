"""The person's terminal: its size, raw mode, and the keys that detach. Used by session.py."""

from __future__ import annotations

import os
import termios
from contextlib import contextmanager

from pydock_shared.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_KEYS = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31} | {chr(97 + at): 1 + at for at in range(26)}

# Indices into what tcgetattr returns
_INPUT, _OUTPUT, _CONTROLS, _LOCAL, _CHARACTERS = 0, 1, 2, 3, 6


def size(descriptor: int) -> tuple[int, int]:
    """Return rows and columns of a terminal, zeros for what is none."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return 0, 0
    return rows, columns


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Pass every byte through as it is; the terminal is what it was before when the context ends."""
    before = termios.tcgetattr(descriptor)
    mode = termios.tcgetattr(descriptor)
    mode[_INPUT] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    mode[_OUTPUT] &= ~termios.OPOST
    mode[_LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[_CONTROLS] = mode[_CONTROLS] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[_CHARACTERS][termios.VMIN], mode[_CHARACTERS][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, mode)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def parse_keys(text: str) -> bytes:
    """Return the bytes of a key sequence such as `ctrl-p,ctrl-q` or `a,ctrl-c`; InvalidArgument when it is none."""
    found = bytearray()
    for key in text.split(","):
        name = key.removeprefix("ctrl-")
        if name != key and name in _CONTROL:
            found.append(_CONTROL[name])
        elif len(key) == 1 and key.isascii():
            found.append(ord(key))
        elif key == "DEL":
            found.append(127)
        else:
            raise InvalidArgument(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return bytes(found)


class DetachKeys:
    """Looks for a key sequence in what is typed; `feed` returns what is to be passed on, `found` says it was typed.

    A beginning of the sequence is held back until the next key shows what it is.
    """

    __slots__ = ("_held", "_keys", "found")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that are no part of the sequence."""
        passed = bytearray()
        for byte in data:
            if self.found:
                break
            held = self._held + bytes((byte,))
            if not self._keys.startswith(held):
                passed += self._held
                held = bytes((byte,))
                if not self._keys.startswith(held):
                    passed += held
                    held = b""
            self._held = held
            self.found = bool(self._keys) and held == self._keys
        return bytes(passed)
