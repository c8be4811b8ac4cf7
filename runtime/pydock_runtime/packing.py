"""Steps as bytes: made ready by one process, carried out by another that knows of nothing else.

Used by `join` and `forker`. Both processes run on one host. What the steps are called with is sent with them, memory is
that of who receives them, and descriptors have the numbers that they will have there.
"""

from __future__ import annotations

import ctypes
import marshal

from pydock_runtime import linux, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pydock_runtime.steps import Check, Step

_libc = ctypes.PyDLL(None, use_errno=True)


def packed(first: Sequence[Step], checks: Sequence[Check], last: Sequence[Step]) -> bytes | None:
    """Return what `unpacked` makes them again from; None when there is one that is no call of the C library."""
    if not all(name for name, *_ in (*first, *last)):
        return None
    memory: list[Any] = []
    lists = [
        [(function.__name__, [_told(one, memory) for one in arguments], end) for function, arguments, end in calls]
        for calls in ([step[1:] for step in first], checks, [step[1:] for step in last])
    ]
    return marshal.dumps((lists, [_content(one) for one in memory]))


def _told(argument: Any, memory: list[Any]) -> Any:
    """Return an argument as it is sent; memory, which several calls may use, by its number."""
    if argument is steps.result:
        return ("result",)
    if isinstance(argument, ctypes.c_long):
        return argument.value
    if argument is None or isinstance(argument, bytes):
        return argument
    for number, known in enumerate(memory):
        if known is argument:
            return ("memory", number)
    memory.append(argument)
    return ("memory", len(memory) - 1)


def _content(memory: Any) -> bytes | list[bytes] | tuple[bytes]:
    if isinstance(memory, linux.Filter):
        return (memory.program,)
    if memory._type_ is ctypes.c_char_p:
        return [word for word in memory if word is not None]
    return bytes(memory)


class Unpacking:
    """What several have in common is there once: filters, and the calls that are the same for all."""

    __slots__ = ("_calls", "_filters")

    def __init__(self) -> None:
        self._calls: dict[Any, Any] = {}
        self._filters: dict[bytes, linux.Filter] = {}

    def unpacked(self, data: bytes) -> tuple[list[Step], list[Check], list[Step]]:
        """Return what was `packed`."""
        (first, checks, last), contents = marshal.loads(data)
        memory = [self._memory(content) for content in contents]
        return (
            [self._call(("", *step), memory) for step in first],
            [self._call(check, memory) for check in checks],
            [self._call(("", *step), memory) for step in last],
        )

    def clear(self) -> None:
        """Forget what is held for others."""
        self._calls.clear()
        self._filters.clear()

    def _memory(self, content: bytes | list[bytes] | tuple[bytes]) -> Any:
        if isinstance(content, tuple):
            return self._filters.setdefault(content[0], linux.Filter(content[0]))
        if isinstance(content, list):
            return linux.strings(content)
        return ctypes.create_string_buffer(content, len(content))

    def _call(self, told: tuple[Any, ...], memory: list[Any]) -> Any:
        *before, name, arguments, end = told
        if any(isinstance(one, tuple) and one[0] == "memory" for one in arguments):
            return self._made(before, name, arguments, end, memory)
        known = (*before, name, tuple(arguments), end)
        if known not in self._calls:
            self._calls[known] = self._made(before, name, arguments, end, memory)
        return self._calls[known]

    def _made(self, before: list[str], name: str, arguments: list[Any], end: Any, memory: list[Any]) -> Any:
        def ready(argument: Any) -> Any:
            if not isinstance(argument, tuple):
                return steps.ready(argument)
            return memory[argument[1]] if argument[0] == "memory" else steps.result

        return (*before, getattr(_libc, name), tuple(map(ready, arguments)), end)
