"""How large a tree is, found by walking it unless nobody can have written to it since. Used by `containers.sizes`."""

import time
from collections.abc import Callable
from typing import NamedTuple

QUICK = 0.002
"""Seconds up to which a walk costs no more than finding out that it is not wanted."""
Facts = tuple[object, ...]


class Measured(NamedTuple):
    """The bytes of a tree at a moment of the monotonic clock."""

    size: int
    at: float
    quick: bool
    """Whether it was walked in no time, and shall be the next time."""
    facts: Facts | None = None
    """What was known of those who write to it."""


class Measurement(NamedTuple):
    """A tree that is to be measured; `quick` as QUICK, `before` what was found the last time."""

    walk: Callable[[], int]
    facts: Callable[[], Facts | None]
    quick: float
    before: Measured | None

    def made(self) -> Measured:
        """Measure. Facts are read before the walk, so what is written meanwhile counts as written after it."""
        before, begun = self.before, time.monotonic()
        known = None if before and before.quick else self.facts()
        if before and known is not None and before.facts == known:
            return before
        size = self.walk()
        return Measured(size, begun, time.monotonic() - begun <= self.quick, known)
