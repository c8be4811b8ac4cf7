"""Containers through whatever sequence of operations: each answers as its state demands, and nothing is left of it.

A state machine of hypothesis against a real engine: `make e2e-oracle ORACLE=...` runs it against dockerd too. Then the
same operations at once, where only the kind of the answers is known.
"""

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.fixtures.engine import Engine, RemoteEngine, eventually
from tests.fixtures.http import Answer
from tests.fuzz.conftest import MANY

NAMES = ("one", "two", "three")
ABSENT, CREATED, RUNNING, PAUSED, EXITED = "absent", "created", "running", "paused", "exited"
GOES_ON = ["sh", "-c", "trap : USR1; while :; do sleep 0.05; done"]
ENDS = ["sh", "-c", "exit 7"]
name = st.sampled_from(NAMES)

# What an operation answers in each state: absent, created, running, paused, exited.
STATES = (ABSENT, CREATED, RUNNING, PAUSED, EXITED)
CODES: dict[str, tuple[int, int, int, int, int]] = {
    "start": (404, 204, 304, 409, 204),
    "stop": (404, 304, 204, 204, 304),
    "restart": (404, 204, 204, 204, 204),
    "kill": (404, 409, 204, 204, 409),
    "pause": (404, 409, 204, 409, 409),
    "unpause": (404, 409, 409, 204, 409),
    "update": (404, 200, 200, 200, 200),
    "remove": (404, 204, 409, 409, 204),
    "exec": (404, 409, 201, 409, 409),
    "top": (404, 409, 200, 200, 409),
    "inspect": (404, 200, 200, 200, 200),
}


class Lives(RuleBasedStateMachine):
    """Three names, each of a container or of none."""

    engine: Engine | RemoteEngine

    @initialize()
    def begin(self) -> None:
        self.states = dict.fromkeys(NAMES, ABSENT)
        self.commands: dict[str, list[str]] = {}

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        answer = self.engine.api(method, path, body, **query)
        assert answer.status < 400 or list(answer.body) == ["message"], answer
        return answer

    def expect(self, operation: str, who: str, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        answer = self.ask(method, f"/containers/{who}{path}", body, **query)
        code = CODES[operation][STATES.index(self.states[who])]
        same = answer.status == code or (isinstance(self.engine, RemoteEngine) and (code, answer.status) == (409, 500))
        assert same, (self.states, answer)
        return answer

    def has_begun(self, who: str) -> None:
        self.states[who] = RUNNING
        if self.commands[who] == ENDS:
            assert self.ask("POST", f"/containers/{who}/wait").body["StatusCode"] == 7
            self.states[who] = EXITED

    @rule(who=name, command=st.sampled_from([GOES_ON, ENDS]))
    def create(self, who: str, command: list[str]) -> None:
        answer = self.ask("POST", "/containers/create", {"Image": "busybox", "Cmd": command}, name=who)
        assert answer.status == (201 if self.states[who] == ABSENT else 409)
        if answer.status == 201:
            self.states[who], self.commands[who] = CREATED, command

    @rule(who=name, operation=st.sampled_from(["start", "restart"]))
    def start(self, who: str, operation: str) -> None:
        query = {"t": "0"} if operation == "restart" else {}
        if self.expect(operation, who, "POST", f"/{operation}", **query).status == 204:
            self.has_begun(who)

    @rule(who=name)
    def stop(self, who: str) -> None:
        if self.expect("stop", who, "POST", "/stop", t="0").status == 204:
            self.states[who] = EXITED

    @rule(who=name, signal=st.sampled_from(["KILL", "9", "SIGKILL", "USR1", "10"]))
    def kill(self, who: str, signal: str) -> None:
        if self.expect("kill", who, "POST", "/kill", signal=signal).status == 204 and "USR1" not in signal != "10":
            eventually(lambda: self.ask("GET", f"/containers/{who}/json").body["State"]["Status"] == EXITED)
            self.states[who] = EXITED

    @rule(who=name, operation=st.sampled_from(["pause", "unpause"]))
    def freeze(self, who: str, operation: str) -> None:
        if self.expect(operation, who, "POST", f"/{operation}").status == 204:
            self.states[who] = PAUSED if operation == "pause" else RUNNING

    @rule(who=name, new=name)
    def rename(self, who: str, new: str) -> None:
        status = self.ask("POST", f"/containers/{who}/rename", name=new).status
        if self.states[who] == ABSENT:
            assert status == 404
        elif who == new:
            assert status == 400
        else:
            assert status == (204 if self.states[new] == ABSENT else 409)
        if status == 204:
            self.states[new], self.states[who] = self.states[who], ABSENT
            self.commands[new] = self.commands.pop(who)

    @rule(who=name, memory=st.sampled_from([32 << 20, 64 << 20]))
    def update(self, who: str, memory: int) -> None:
        body = {"Memory": memory, "MemorySwap": -1, "RestartPolicy": {"Name": "no"}}
        if self.expect("update", who, "POST", "/update", body).status == 200:
            assert self.ask("GET", f"/containers/{who}/json").body["HostConfig"]["Memory"] == memory

    @rule(who=name, force=st.booleans())
    def remove(self, who: str, force: bool) -> None:
        if force:
            assert self.ask("DELETE", f"/containers/{who}", force="1").status in (204, 404)
        elif self.expect("remove", who, "DELETE", "").status != 204:
            return
        self.states[who] = ABSENT

    @rule(who=name)
    def wait(self, who: str) -> None:
        if self.states[who] in (ABSENT, EXITED):
            answer = self.ask("POST", f"/containers/{who}/wait", condition="not-running")
            assert answer.status == (404 if self.states[who] == ABSENT else 200)

    @rule(who=name, code=st.integers(0, 255))
    def exec(self, who: str, code: int) -> None:
        made = self.expect(
            "exec", who, "POST", "/exec", {"Cmd": ["sh", "-c", f"echo x; exit {code}"], "AttachStdout": True}
        )
        if made.status == 201:
            with self.engine.api.hijack(f"/exec/{made.body['Id']}/start", {"Detach": False}) as stream:
                output = b"".join(iter(lambda: stream.recv(100), b""))
            assert output.endswith(b"x\n")
            eventually(lambda: self.ask("GET", f"/exec/{made.body['Id']}/json").body["ExitCode"] == code)

    @rule(who=name)
    def look(self, who: str) -> None:
        self.expect("top", who, "GET", "/top")
        found = self.expect("inspect", who, "GET", "/json")
        if found.status == 200:
            state = found.body["State"]
            assert state["Status"] == self.states[who]
            assert state["Running"] is (self.states[who] in (RUNNING, PAUSED))
            assert bool(state["Pid"]) is state["Running"]

    @invariant()
    def the_list_is_what_we_think(self) -> None:
        rows = self.engine.api.ok("GET", "/containers/json", all="1")
        found = {row["Names"][0][1:]: row["State"] for row in rows if row["Names"][0][1:] in NAMES}
        assert found == {who: state for who, state in self.states.items() if state != ABSENT}

    def teardown(self) -> None:
        for who in NAMES:
            self.engine.api("DELETE", f"/containers/{who}", force="1")


def test_every_sequence(unharmed: Engine | RemoteEngine):
    machine = type("Machine", (Lives,), {"engine": unharmed})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=MANY or 5,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=not MANY,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


OPERATIONS: list[tuple[str, str, Any]] = [
    ("POST", "/containers/create?name=one", {"Image": "busybox", "Cmd": GOES_ON}),
    ("POST", "/containers/create?name=two", {"Image": "busybox", "Cmd": ENDS, "HostConfig": {"AutoRemove": True}}),
    *(
        ("POST", f"/containers/{who}/{what}", None)
        for who in ("one", "two")
        for what in ("start", "stop?t=0", "restart?t=0", "kill", "kill?signal=USR1", "pause", "unpause")
    ),
    *(("POST", f"/containers/{who}/rename?name={new}", None) for who, new in (("one", "two"), ("two", "one"))),
    *(("DELETE", f"/containers/{who}?force=1&v=1", None) for who in ("one", "two")),
    ("DELETE", "/containers/one", None),
    ("POST", "/containers/one/exec", {"Cmd": ["true"]}),
    ("POST", "/containers/one/update", {"Memory": 64 << 20, "MemorySwap": -1}),
    ("GET", "/containers/one/json", None),
    ("GET", "/containers/one/top", None),
    ("GET", "/containers/one/stats?stream=0", None),
    ("GET", "/containers/one/logs?stdout=1", None),
    ("GET", "/containers/json?all=1&size=1", None),
    ("GET", "/containers/one/archive?path=/etc", None),
    ("GET", "/containers/one/changes", None),
    ("POST", "/containers/one/wait?condition=next-exit", None),
    ("POST", "/containers/prune", None),
    ("POST", "/networks/create", {"Name": "net"}),
    ("POST", "/networks/net/connect", {"Container": "one"}),
    ("POST", "/networks/net/disconnect", {"Container": "one", "Force": True}),
    ("DELETE", "/networks/net", None),
    ("POST", "/networks/prune", None),
    ("POST", "/volumes/prune", None),
]


@pytest.mark.parametrize("seed", range(MANY or 2))
def test_all_at_once(unharmed: Engine | RemoteEngine, seed: int):
    """Eight clients at the same two names: nobody gets an error that is the engine's own, nobody waits for ever."""
    if isinstance(unharmed, RemoteEngine):
        pytest.skip("dockerd has errors of its own (500) where operations meet")
    choice = random.Random(seed)
    calls = [choice.choice(OPERATIONS) for _ in range(150)]

    def ask(call: tuple[str, str, Any]) -> Answer | None:
        with contextlib.suppress(TimeoutError):  # of an end that may never come
            return unharmed.api(*call, timeout=2 if "wait" in call[1] else 30)
        return None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, calls))
    for call, answer in zip(calls, answers, strict=True):
        assert answer is None or answer.status < 500, (call, answer)
    unharmed.clear()
    assert unharmed.api.ok("GET", "/containers/json", all="1") == []
