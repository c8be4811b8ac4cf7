"""Pull, load, rmi, prune, build and run of the same images side by side: no error that Docker would not give.

In the suite some seconds; `make crash` lets it go on for a minute (PYDOCK_STRESS).
"""

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.crash.conftest import EMPTY, Image, emptied
from tests.fixtures.engine import Engine
from tests.fixtures.http import Answer

SECONDS = float(os.environ.get("PYDOCK_STRESS", "3"))
WORKERS = 2
"""Threads for each of the operations."""

TAKING = ("untag", "remove", "prune", "forget")
EXPECTED = (
    r"No such image: .*",
    r"No such container: .*",
    r"conflict: unable to (delete|remove repository reference) .*container [0-9a-f]{12} is using.*",
    r"conflict: unable to delete .*image is being used by (running|stopped) container [0-9a-f]{12}",
    r"a prune operation is already running",
)
"""Docker's words for what happens when the image that one wants is just being taken away by another."""


class Crowd:
    """Operations on one engine, again and again until the end, and what they answered."""

    def __init__(self, engine: Engine, image: Image) -> None:
        self.api, self.image = engine.api, image
        self.end = time.monotonic() + SECONDS
        self.done: Counter[str] = Counter()
        self.strange: list[str] = []
        self.operations: dict[str, Callable[[], Answer]] = {
            "pull": lambda: self.api("POST", "/images/create", fromImage=image.remote),
            "load": lambda: self.api("POST", "/images/load", image.archive),
            "build": lambda: self.api("POST", "/build", image.context, t="made:built"),
            "untag": lambda: self.api("DELETE", f"/images/{self._name()}"),
            "remove": lambda: self.api("DELETE", f"/images/{self._name()}", force="1"),
            "prune": lambda: self.api("POST", "/images/prune", filters={"dangling": ["false"]}),
            "forget": lambda: self.api("POST", "/build/prune", all="1"),
            "run": self._run,
            "list": lambda: self.api("GET", "/images/json", all="1"),
            "usage": lambda: self.api("GET", "/system/df"),
            "check": self._check,
        }

    def _name(self) -> str:
        return random.choice([self.image.remote, "made:loaded", "made:built"])

    def _run(self) -> Answer:
        made = self.api("POST", "/containers/create", {"Image": self._name(), "Cmd": ["ls", "/bin/busybox"]})
        if made.status != 201:
            return made
        path = f"/containers/{made.body['Id']}"
        for step in ("start", "wait"):
            answer = self.api("POST", f"{path}/{step}")
            if answer.status >= 400:
                return answer
        if answer.body["StatusCode"]:
            self.strange.append(f"run: exit code {answer.body}")
        return self.api("DELETE", path)

    def _check(self) -> Answer:
        answer = self.api("POST", "/system/check", quick="1")
        if answer.status == 200 and answer.body["Problems"]:
            self.strange.append(f"check: {answer.body['Problems']}")
        return answer

    def work(self, name: str) -> None:
        """Do one operation until the time is over."""
        while time.monotonic() < self.end:
            if name in TAKING:
                time.sleep(random.uniform(0, 0.4))  # or nothing else would ever be there
            answer = self.operations[name]()
            message = error_of(answer)
            self.done[f"{name} {'failed' if message else 'done'}"] += 1
            if message and not any(re.fullmatch(words, message) for words in EXPECTED):
                self.strange.append(f"{name}: {answer.status} {message}")


def error_of(answer: Answer) -> str:
    """The message of an answer that is an error, or of a stream of records that ends with one."""
    if answer.status >= 400:
        return str(answer.body["message"])
    found = re.search(r'"errorDetail":\s*\{"message":\s*"((?:[^"\\]|\\.)*)"', str(answer.body))
    return found[1] if found else ""


def test_no_strange_error_and_nothing_lost(engine: Engine, image: Image) -> None:
    keeper = engine.api.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "9999"]}, name="keeper")
    engine.api.ok("POST", "/containers/keeper/start")
    crowd = Crowd(engine, image)
    threads = [threading.Thread(target=crowd.work, args=(name,)) for name in crowd.operations for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(sorted(crowd.done.items())))
    assert crowd.strange == []
    assert all(crowd.done[f"{name} done"] for name in crowd.operations), crowd.done
    assert engine.api.ok("POST", "/system/check")["Problems"] == []
    assert [found["Id"] for found in engine.api.ok("GET", "/containers/json", all="1")] == [keeper["Id"]]
    for path in ("/images/load", "/images/create"):
        body, query = (image.archive, {}) if path.endswith("load") else (None, {"fromImage": image.remote})
        assert not error_of(engine.api("POST", path, body, **query))
    assert emptied(engine) == EMPTY
