"""The functions that templates may call, and how values are printed: Go's `%v`. Used by run.py."""

from __future__ import annotations

import html
import json
from urllib.parse import quote_plus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Callable_:
    """A field that is a function: `{{.Label "name"}}`."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class NilList(list["Any"]):
    """A list that is null on the wire: prints as `[]`, and as `null` in JSON."""


class NilMap(dict[str, "Any"]):
    """A map that is null on the wire: prints as `map[]`, and as `null` in JSON."""


class Nothing(dict[str, "Any"]):
    """Go's `struct{}`: prints as `{}`."""


def shown(value: Any) -> str:
    """Return a value as Go prints it: `map[a:1 b:2]`, `[x y]`, `true`, `<nil>`."""
    if value is None:
        return "<nil>"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, Nothing):
        return "{}"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{shown(entry)}' for key, entry in sorted(value.items()))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(shown(entry) for entry in value)}]"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) or abs(value) >= 1e21 else str(int(value))
    return str(value)


def to_json(value: Any) -> str:
    """Return a value as Go's json.Marshal writes it without escaping HTML, on one line."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    if hasattr(value, "plain"):  # an object of a list: Go's Marshal makes its own text safe inside HTML
        for mark in "<>&":
            text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, (NilList, NilMap)):
        return None
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    convert = getattr(value, "plain", None)
    return convert() if convert is not None else value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, (list, str)):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise ValueError(f"index out of range: {shown(key)}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise ValueError(f"can't index item of type {type(value).__name__}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if any(not 0 <= bound <= len(value) for bound in bounds):
        raise ValueError(f"index out of range: {bounds[-1]}")
    return value[slice(*bounds[:2])] if len(bounds) > 1 else value[bounds[0] if bounds else 0 :]


def _printf(form: str, *values: Any) -> str:
    """Go's verbs, by Python's `%`: %v and %s print, %q quotes, %T is left out, numbers are as in C."""
    out, rest = [], list(values)
    at = 0
    while at < len(form):
        if form[at] != "%":
            out.append(form[at])
            at += 1
            continue
        end = at + 1
        while end < len(form) and form[end] in "+-# 0123456789.":
            end += 1
        verb, flags = form[end : end + 1], form[at + 1 : end]
        at = end + 1
        if verb == "%":
            out.append("%")
        elif not rest:
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(verb, flags, rest.pop(0)))
    return "".join(out)


def _verb(verb: str, flags: str, value: Any) -> str:
    if verb in ("v", "s"):
        return f"%{flags.replace('#', '').replace('+', '')}s" % shown(value)
    if verb == "q":
        return json.dumps(str(value), ensure_ascii=False)
    if verb == "t":
        return shown(bool(value))
    if verb == "x" and isinstance(value, str):
        return value.encode().hex()
    if verb in "dxXobeEfFgGc" and isinstance(value, (int, float)) and not isinstance(value, bool):
        if verb == "b":
            return f"{value:b}"
        return f"%{flags}{verb}" % value
    return f"%!{verb}({type(value).__name__}={shown(value)})"


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(first == other and isinstance(first, bool) == isinstance(other, bool) for other in others)


def _print(*values: Any) -> str:
    """Go's Sprint: a space between operands when neither is a string."""
    out = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out += " "
        out += shown(value)
    return out


def _join(values: Any, separator: str) -> str:
    return separator.join(shown(value) for value in values or ())


def _pad(text: str, left: int, right: int) -> str:
    return f"{' ' * left}{text}{' ' * right}" if text else text


def _truncate(text: str, length: int) -> str:
    return text[:length]


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": lambda value: not value,
    "len": len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(shown(value) for value in values) + "\n",
    "html": lambda *values: html.escape(_print(*values)),
    "js": lambda *values: to_json(_print(*values))[1:-1],
    "urlquery": lambda *values: quote_plus(_print(*values)),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": lambda first, second: first < second,
    "le": lambda first, second: first <= second,
    "gt": lambda first, second: first > second,
    "ge": lambda first, second: first >= second,
    "json": to_json,
    "split": lambda text, separator: text.split(separator),
    "join": _join,
    "title": _title,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "pad": _pad,
    "truncate": _truncate,
}
