"""What the tests of the daemon's parts share."""

from collections.abc import Iterator

import pytest
from tests.fixtures.forks import FORKS


@pytest.fixture(scope="session", autouse=True)
def _forks() -> Iterator[None]:
    """The fork server of the stores runs as long as the session."""
    FORKS.begin()
    yield
    FORKS.end()
