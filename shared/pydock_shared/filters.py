"""The `filters` parameter of the API and the `--filter` flag of the command line. Used by daemon and client.

On the wire it is JSON: `{"label": ["a=b"]}`, or in the form that Docker's client sends `{"label": {"a=b": true}}`.
"""

import json

from . import jsontext
from .errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FLAGS = {"1": True, "true": True, "0": False, "false": False}


class Filters:
    """The values asked for, by key; values keep their order and are not repeated."""

    __slots__ = ("_values",)

    def __init__(self, values: "dict[str, list[str]]") -> None:
        self._values = {key: list(dict.fromkeys(entry)) for key, entry in values.items()}

    def values(self, key: str) -> list[str]:
        """Return the values of a key, none when it was not given."""
        return self._values.get(key, [])

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filters) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Filters({self._values!r})"

    def check_known(self, known: "Iterable[str]") -> None:
        """Raise InvalidArgument for a key that the endpoint does not know."""
        for key in self._values:
            if key not in known:
                raise InvalidArgument(f"invalid filter '{key}'")

    def flag(self, key: str) -> bool | None:
        """Return a yes-or-no filter (`1`, `true`, `0`, `false`), None when it was not given."""
        if key not in self._values:
            return None
        found = {_FLAGS.get(value) for value in self._values[key]}
        if found not in ({True}, {False}):
            raise InvalidArgument(f"invalid filter '{key}=[{' '.join(self._values[key])}]'")
        return found.pop()

    def match_labels(self, labels: dict[str, str], key: str = "label") -> bool:
        """Say whether every asked-for label (`name` or `name=value`) is among these."""
        for value in self.values(key):
            name, equals, text = value.partition("=")
            if name not in labels or (equals and labels[name] != text):
                return False
        return True

    def encode(self) -> str:
        """Return the form on the wire."""
        return json.dumps({key: dict.fromkeys(entry, True) for key, entry in self._values.items()})


def parse(text: str) -> Filters:
    """Return the filters of a parameter; InvalidArgument when malformed. An empty text filters nothing."""
    if not text:
        return Filters({})
    try:
        data = jsontext.parsed(text)
    except ValueError as error:
        raise InvalidArgument("invalid filter") from error
    if data is None:
        return Filters({})
    if not isinstance(data, dict):
        raise InvalidArgument("invalid filter")
    return Filters({key: _entry(key, entry) for key, entry in data.items()})


def _entry(key: str, entry: object) -> list[str]:
    if entry is None:
        return []
    if isinstance(entry, dict) and all(isinstance(wanted, bool) for wanted in entry.values()):
        return [value for value, wanted in entry.items() if wanted]
    if isinstance(entry, list) and all(isinstance(value, str) for value in entry):
        return entry
    raise InvalidArgument(f"invalid filter '{key}'")


def from_flags(flags: "Iterable[str]") -> Filters:
    """Return the filters of repeated `--filter key=value` flags; an empty one filters nothing, as in Docker."""
    values: dict[str, list[str]] = {}
    for flag in flags:
        if not flag:
            continue
        key, equals, value = flag.partition("=")
        if not equals:
            raise InvalidArgument("invalid filter format (should be name=value)")
        values.setdefault(key.strip().lower(), []).append(value.strip())
    return Filters(values)
