"""Every operation of the API is asked things that make no sense: it answers with words, and nothing is left behind.

In the suite a few requests an operation; `make fuzz` sends very many (PYDOCK_FUZZ says how many).
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.fuzz import check, operations, requests, send
from tests.fixtures.leaks import descriptors, left_behind, picture

MANY = int(os.environ.get("PYDOCK_FUZZ", "4"))
ENDLESS = {f"POST /containers/{{name}}/{verb}" for verb in ("stop", "restart")}
"""With a negative `t` these rightly wait for ever."""


class Target:
    """An engine with a container that runs, one that does not, a network and a volume; `descriptors` of the daemon."""

    def __init__(self, daemon: Engine) -> None:
        self.daemon = daemon
        api = daemon.api
        body = {"Image": "busybox", "Cmd": ["sleep", "600"], "OpenStdin": True}
        self.names = ["busybox", "busybox:latest", "bridge", "fuzzed"]
        for name in ("running", "resting"):
            self.names.append(api.ok("POST", "/containers/create", body, name=name)["Id"])
            self.names.append(name)
        api.ok("POST", "/containers/running/start")
        api.ok("POST", "/networks/create", {"Name": "fuzzed"})
        api.ok("POST", "/volumes/create", {"Name": "fuzzed"})
        self.names.append(api.ok("POST", "/containers/running/exec", {"Cmd": ["true"]})["Id"])

    def descriptors(self) -> list[str]:
        """What the daemon has open."""
        return descriptors(self.daemon.pid)


@pytest.fixture(scope="module")
def target(base_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An engine of its own: its images and containers will be gone."""
    host, daemon = picture(), Engine(tmp_path_factory.mktemp("fuzzed"))
    try:
        daemon.start()
        daemon.api.ok("POST", "/images/load", base_archive.read_bytes())
        made = Target(daemon)
        before = made.descriptors()
        yield made
        daemon.clear()
        said = daemon.log.read_text()
        assert "Traceback" not in said, said[max(0, said.index("Traceback") - 500) :][:3000]
        assert "never retrieved" not in said
        assert "never awaited" not in said
        eventually(lambda: len(made.descriptors()) <= len(before))
    finally:
        daemon.destroy()
    assert left_behind(host, daemon.marks) == []


@pytest.mark.parametrize("operation", operations())
def test_operation(target: Target, operation: str) -> None:
    @settings(
        max_examples=MANY,
        deadline=None,
        database=None,
        derandomize=MANY < 10,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        request = data.draw(requests(operation, target.names))
        assume(operation not in ENDLESS or "t=-" not in request[1])
        check(request, send(target.daemon.socket, request))

    began = time.monotonic()
    ask()
    assert time.monotonic() - began < 10 * MANY
