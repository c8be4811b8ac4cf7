"""What every campaign ends with: the engine has nothing more than before, and has said nothing of a failure."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.leaks import descriptors

MANY = int(os.environ.get("PYDOCK_FUZZ", "0"))
"""By `make fuzz` so many times more."""
FAILURES = ("Traceback", "never retrieved", "never awaited", "internal error", "was destroyed but it is pending")


@pytest.fixture
def unharmed(daemon: Engine | RemoteEngine) -> Iterator[Engine | RemoteEngine]:
    """The daemon of the session. At the end its descriptors, tasks and log are looked at, and its supervisor's."""
    daemon.clear()
    if isinstance(daemon, RemoteEngine):
        yield daemon
        daemon.clear()
        return
    looks = _looks(daemon)
    said = [(path, path.stat().st_size) for path in (daemon.log, daemon.root / "exec/supervisor.log")]
    before = [look() for look in looks]
    yield daemon
    daemon.clear()
    for look, known in zip(looks, before, strict=True):
        with contextlib.suppress(AssertionError):
            eventually(lambda look=look, known=known: look().total() <= known.total(), timeout=15)
        now = look()
        assert now.total() <= known.total(), now - known
    for path, size in said:
        news = path.read_bytes()[size:].decode(errors="replace")
        assert not any(word in news for word in FAILURES), news[-5000:]


def _looks(daemon: Engine) -> list[Callable[[], Counter[str]]]:
    """What must not grow: descriptors of the daemon and of the supervisor, and the daemon's tasks."""
    pids = (daemon.pid, *daemon.supervisors())
    opened = [lambda pid=pid: Counter(name.partition("[")[0] for name in descriptors(pid)) for pid in pids]
    return [*opened, lambda: Counter(tasks=daemon.api.ok("GET", "/info")["NGoroutines"])]
