"""pydockd killed with -9 at random moments of what changes the store: nothing is half there, and all of it can go.

In the suite a few kills; `make crash` does two hundred (PYDOCK_KILLS), PYDOCK_SEED repeats a run.
"""

import contextlib
import http.client
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.crash.conftest import EMPTY, Image, emptied
from tests.fixtures.engine import Engine, eventually

KILLS = int(os.environ.get("PYDOCK_KILLS", "3"))
SEED = os.environ.get("PYDOCK_SEED") or str(random.SystemRandom().randrange(10**6))
AGAIN = 0.2
"""How often the daemon is killed once more while it recovers."""
Operation = Callable[[], Any]


class Campaign:
    """An engine with a container that runs, and the operations in whose middle it dies."""

    def __init__(self, engine: Engine, image: Image) -> None:
        self.engine, self.api, self.image = engine, engine.api, image
        self.source = random.Random(SEED)
        command = "head -c 5000000 /dev/urandom >/written; exec sleep 100000"
        body = {"Image": "busybox", "Cmd": ["sh", "-c", command]}
        self.web = self.api.ok("POST", "/containers/create", body, name="web")["Id"]
        self.api.ok("POST", "/containers/web/start")
        self.operations: dict[str, Operation] = {
            "pull": lambda: self.api("POST", "/images/create", fromImage=image.remote),
            "load": lambda: self.api("POST", "/images/load", image.archive),
            "build": lambda: self.api("POST", "/build", image.context, t="made:built"),
            "commit": lambda: self.api("POST", "/commit", container="web", repo="made", tag="committed"),
            "rmi": lambda: self.api("DELETE", "/images/made:loaded"),
            "prune": lambda: self.api("POST", "/images/prune", filters={"dangling": ["false"]}),
        }
        self.durations: dict[str, float] = {}

    def _prepare(self, name: str) -> None:
        """Make sure that an operation has something to do."""
        self.api.ok("POST", "/build/prune", all="1")
        self.api.ok("POST", "/images/prune", filters={"dangling": ["false"]})
        if name in ("rmi", "prune"):
            self.api.ok("POST", "/images/load", self.image.archive)

    def _measured(self, name: str) -> float:
        self._prepare(name)
        begun = time.monotonic()
        answer = self.operations[name]()
        assert answer.status < 400, answer
        assert "errorDetail" not in str(answer.body), answer
        return time.monotonic() - begun

    def kill_in(self, name: str) -> None:
        """Kill the daemon in the middle of an operation, and start it again."""
        if name not in self.durations:
            self.durations[name] = self._measured(name)
        self._prepare(name)
        thread = threading.Thread(target=self._asked, args=(self.operations[name],))
        thread.start()
        time.sleep(self.source.uniform(0, self.durations[name]))
        self.engine.kill()
        thread.join()
        if self.source.random() < AGAIN:
            self._kill_at_start()
        self.engine.start()

    def _asked(self, operation: Operation) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            operation()

    def _kill_at_start(self) -> None:
        starting = threading.Thread(target=self._start)
        starting.start()
        time.sleep(self.source.uniform(0.1, 0.8))
        while not hasattr(self.engine, "process") or self.engine.process.poll() is not None:
            time.sleep(0.01)
        self.engine.kill()
        starting.join()

    def _start(self) -> None:
        with contextlib.suppress(AssertionError):
            self.engine.start()

    def look(self) -> None:
        """Everything that is to be seen is whole, and works."""
        state = self.api.ok("GET", "/containers/web/json")["State"]
        assert state["Status"] == "running"
        assert self.api.ok("POST", "/system/check")["Problems"] == []
        for image in self.api.ok("GET", "/images/json", all="1"):
            self.api.ok("GET", f"/images/{image['Id']}/json")
            self.api.ok("GET", f"/images/{image['Id']}/history")
            made = self.api.ok("POST", "/containers/create", {"Image": image["Id"], "Cmd": ["true"]})["Id"]
            self.api.ok("POST", f"/containers/{made}/start")
            eventually(lambda made=made: self.api.ok("POST", f"/containers/{made}/wait")["StatusCode"] == 0)
            self.api.ok("DELETE", f"/containers/{made}", v="1")
        assert [container["Id"] for container in self.api.ok("GET", "/containers/json", all="1")] == [self.web]


def test_nothing_is_half_there(engine: Engine, image: Image) -> None:
    campaign = Campaign(engine, image)
    names = campaign.source.sample(sorted(campaign.operations), len(campaign.operations))
    for number in range(KILLS):
        name = names[number % len(names)]
        try:
            campaign.kill_in(name)
            campaign.look()
        except AssertionError as error:
            raise AssertionError(f"PYDOCK_SEED={SEED}, kill {number}, in {name}: {error}") from error
    assert emptied(engine) == EMPTY
