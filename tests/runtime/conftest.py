"""What the tests of the runtime stand on: one busybox root for all, read-only by agreement."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.runtime import box


@pytest.fixture(scope="module", autouse=True)
def one_thread_at_a_time() -> Iterator[None]:
    """Let no other thread ask for the interpreter's lock: a child forked meanwhile waits for that thread for ever.

    What forks has one thread; here the test runner has a second.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root file system; a test that changes it makes its own, or an overlay."""
    yield box.make_root(tmp_path_factory.mktemp("runtime") / "root")
    box.remove_parent()


@pytest.fixture
def overlay(root: Path, tmp_path: Path) -> Callable[[], dict[str, object]]:
    """Makes the `overlay` value of a container whose changes nobody else sees."""

    def make() -> dict[str, object]:
        for name in ("upper", "work"):
            (tmp_path / name).mkdir()
        return {"base": str(tmp_path), "lower": [str(root)], "upper": "upper", "work": "work"}

    return make
