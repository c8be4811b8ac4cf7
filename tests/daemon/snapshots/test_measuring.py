"""A tree is walked again when somebody can have written to it, and whenever that costs nothing."""

import time
from collections.abc import Callable

from pydock_daemon.snapshots.measuring import Facts, Measured, Measurement


class Tree:
    """A tree with a size, a time that a walk takes, and facts about its writers."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.size, self.walks = seconds, 0, 0
        self.facts: Facts | None = ("idle",)
        self.during: Callable[[], None] = lambda: None
        self.found: Measured | None = None

    def walk(self) -> int:
        """Count, as it is at the beginning."""
        self.walks += 1
        size = self.size
        time.sleep(self.seconds)
        self.during()
        return size

    def measured(self) -> tuple[int, int]:
        """What is told, and how many walks there have been."""
        self.found = Measurement(self.walk, lambda: self.facts, 0.005, self.found).made()
        return self.found.size, self.walks


def test_what_takes_long_is_walked_when_somebody_has_written() -> None:
    tree = Tree(0.01)
    assert [tree.measured() for _ in range(2)] == [(0, 1), (0, 1)]
    tree.size, tree.facts = 7, ("busy",)
    assert [tree.measured() for _ in range(2)] == [(7, 2), (7, 2)]


def test_what_is_quick_is_walked_each_time() -> None:
    tree = Tree(0)
    assert tree.measured() == (0, 1)
    tree.size = 7
    assert tree.measured() == (7, 2)


def test_nothing_known_of_the_writers_is_no_reason_to_believe() -> None:
    tree = Tree(0.01)
    tree.facts = None
    assert [tree.measured() for _ in range(2)] == [(0, 1), (0, 2)]


def test_what_is_written_during_a_walk_is_found_by_the_next() -> None:
    tree = Tree(0.01)

    def write() -> None:
        tree.size, tree.facts = 7, ("busy",)

    tree.during = write
    assert [tree.measured()[0] for _ in range(2)] == [0, 7]
