"""The `filters` parameter of the API and the `--filter` flag of the command line. Used by daemon and client.

On the wire it is JSON: `{"label": ["a=b"]}`, or in the older form `{"label": {"a=b": true}}`.
"""

import json
from collections.abc import Iterable

from .errors import InvalidArgument


class Filters:
    """The values asked for, by key."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def values(self, key: str) -> list[str]:
        """Return the values of a key, none when it was not given."""
        return self._values.get(key, [])

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def check_known(self, known: Iterable[str]) -> None:
        """Raise InvalidArgument for a key that the endpoint does not know."""
        for key in self._values:
            if key not in known:
                raise InvalidArgument(f"invalid filter '{key}'")

    def flag(self, key: str) -> bool | None:
        """Return a yes-or-no filter, None when it was not given."""
        values = self.values(key)
        if not values:
            return None
        words = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}
        try:
            found = {words[value.lower()] for value in values}
        except KeyError as error:
            raise InvalidArgument(f"invalid filter '{key}={values}'") from error
        if len(found) != 1:
            raise InvalidArgument(f"invalid filter '{key}={values}'")
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
        return json.dumps(self._values)


def parse(text: str) -> Filters:
    """Return the filters of a parameter; InvalidArgument when malformed. An empty text filters nothing."""
    if not text:
        return Filters({})
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid filter: {text!r} is not JSON") from error
    if data is None:
        return Filters({})
    if not isinstance(data, dict):
        raise InvalidArgument("invalid filter: needs an object")
    values: dict[str, list[str]] = {}
    for key, entry in data.items():
        if isinstance(entry, dict):
            values[key] = [str(word) for word, wanted in entry.items() if wanted]
        elif isinstance(entry, list) and all(isinstance(word, str) for word in entry):
            values[key] = entry
        else:
            raise InvalidArgument(f"invalid filter '{key}'")
    return Filters(values)


def from_flags(flags: Iterable[str]) -> Filters:
    """Return the filters of repeated `--filter key=value` flags."""
    values: dict[str, list[str]] = {}
    for flag in flags:
        key, equals, value = flag.partition("=")
        if not equals:
            raise InvalidArgument(
                'invalid argument "' + flag + '" for "-f, --filter" flag: invalid filter format (should be name=value)'
            )
        values.setdefault(key.strip().lower(), []).append(value.strip())
    return Filters(values)
