"""Docker's rule for names in filters: equal, or found by a regular expression. Used by the lists of all kinds.

The expressions are Go's, of the library that Go took them from (RE2): no expression takes longer than its text is long.
"""

import functools
import importlib
from collections.abc import Callable, Iterable

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/:@ ")
LONGEST = 1000


def among(values: Iterable[str], *names: str) -> bool:
    """Say whether one of the values is the filter of one of these names. What is no expression finds nothing."""
    return any(value == name or _finder(value)(name) for value in values for name in names)


@functools.lru_cache(64)
def _finder(value: str) -> Callable[[str], bool]:
    if PLAIN.issuperset(value):
        return lambda name: value in name
    library = importlib.import_module("re2")  # by those who use it
    options = library.Options()
    options.log_errors = False
    try:
        pattern = library.compile(value[:LONGEST], options)
    except library.error:
        return lambda name: False
    return lambda name: pattern.search(name) is not None
