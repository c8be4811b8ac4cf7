"""Lists and logs by whatever parameters: the answer is what a model of a few lines says, or it says what is wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api
from tests.fuzz.conftest import MANY

from pydock_shared.times import parse_rfc3339

PROFILE = settings(
    max_examples=10 * MANY or 40,
    deadline=None,
    database=None,
    derandomize=not MANY,
    suppress_health_check=list(HealthCheck),
)
LINES = 60
SCRIPT = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); echo line $i >&2; i=$((i+1)); usleep 3000; done"
Line = tuple[int, str]
"""When it was logged, and what."""


class Log:
    """A container that has printed, and its lines with the time of each."""

    def __init__(self, api: Api, driver: str) -> None:
        self.api = api
        body = {"Image": "busybox", "Cmd": ["sh", "-c", SCRIPT], "HostConfig": {"LogConfig": {"Type": driver}}}
        self.id = api.ok("POST", "/containers/create", body)["Id"]
        api.ok("POST", f"/containers/{self.id}/start")
        api.ok("POST", f"/containers/{self.id}/wait")
        self.lines = [(parse_rfc3339(line.split()[0]), line.partition(" ")[2]) for line in self.read(timestamps="1")]
        assert len(self.lines) == LINES

    def read(self, **query: str) -> list[str]:
        """The lines of an answer, of both streams unless asked otherwise."""
        given = {"stdout": "1", "stderr": "1"} | query
        answer = self.api("GET", f"/containers/{self.id}/logs", **given)
        assert answer.status == 200, answer
        data, found = str(answer.body).encode("utf-8", "surrogateescape"), []
        text = re.sub(rb"[\x01\x02]\0\0\0\0\0\0.", b"", data, flags=re.DOTALL).decode()
        found += text.splitlines()
        return found


@pytest.fixture(scope="module", params=["json-file", "local"])
def log(request: pytest.FixtureRequest, daemon: Engine | RemoteEngine) -> Iterator[Log]:
    yield Log(daemon.api, request.param)
    daemon.clear()


def test_logs(log: Log):
    moments = [moment for moment, _ in log.lines]

    @PROFILE
    @given(
        since=st.none() | st.sampled_from(moments) | st.integers(moments[0] - 10**7, moments[-1] + 10**7),
        until=st.none() | st.sampled_from(moments) | st.integers(moments[0] - 10**7, moments[-1] + 10**7),
        tail=st.none() | st.integers(-2, LINES + 5),
        streams=st.sampled_from(["1 1", "1 0", "0 1"]),
    )
    def ask(since: int | None, until: int | None, tail: int | None, streams: str) -> None:
        query = dict(zip(("stdout", "stderr"), streams.split(), strict=True))
        for name, moment in (("since", since), ("until", until)):
            if moment is not None:
                query[name] = f"{moment // 10**9}.{moment % 10**9:09}"
        if tail is not None:
            query["tail"] = str(tail)
        wanted = [line for line in log.lines if line[0] >= (since or 0)]
        if tail is not None and tail >= 0:
            wanted = wanted[len(wanted) - min(tail, len(wanted)) :]
        wanted = [line for line in wanted if until is None or line[0] <= until]
        parity = [number for number, chosen in enumerate(streams.split()) if chosen == "1"]
        assert log.read(**query) == [text for _, text in wanted if int(text.split()[1]) % 2 in parity]

    ask()


NAMES = ("pt-red", "pt-blue", "pt-blue-2", "pt-x.y", "pt-one_two")
LABELS: tuple[dict[str, str], ...] = ({}, {"a": "1"}, {"a": "2", "b": ""}, {"c": "x=y"}, {"a": "1", "b": "3"})


@pytest.fixture(scope="module")
def shelf(daemon: Engine | RemoteEngine) -> Iterator[Api]:
    """Containers, networks and volumes of these names and labels; every second container has ended with its number."""
    api = daemon.api
    for number, (name, labels) in enumerate(zip(NAMES, LABELS, strict=True)):
        body = {
            "Image": "busybox",
            "Cmd": ["sh", "-c", f"exit {number}"],
            "Labels": labels,
            "HostConfig": {"NetworkMode": "none"},
        }
        api.ok("POST", "/containers/create", body, name=name)
        api.ok("POST", "/networks/create", {"Name": name, "Labels": labels, "Internal": True})
        api.ok("POST", "/volumes/create", {"Name": name, "Labels": labels})
        if number % 2:
            api.ok("POST", f"/containers/{name}/start")
            api.ok("POST", f"/containers/{name}/wait")
    yield api
    daemon.clear()


def in_name(value: str, name: str) -> bool:
    """Docker's rule: equal, or found by the expression, if it is one."""
    try:
        return value == name or re.search(value, name) is not None
    except re.error:
        return False


def labelled(value: str, labels: dict[str, str]) -> bool:
    key, equals, text = value.partition("=")
    return key in labels and (not equals or labels[key] == text)


words = st.sampled_from(
    ["pt", "blue", "^pt-b", "2$", "^pt-red$", "x.y", "x\\.y", "(red|one)", "[_.]", "pt-[", "*", "none"]
)
marks = st.sampled_from(["a", "b", "c", "a=1", "a=2", "b=", "c=x=y", "d", "a=", "=1"])
KINDS = {"containers/json": "Id", "networks": "Id", "volumes": "Name"}


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_labels(shelf: Api, kind: str):
    @PROFILE
    @given(names=st.lists(words, max_size=2), labels=st.lists(marks, max_size=2), form=st.booleans())
    def ask(names: list[str], labels: list[str], form: bool) -> None:
        chosen = {"name": names, "label": labels}
        filters = {key: dict.fromkeys(values, True) if form else values for key, values in chosen.items()}
        found = shelf.ok("GET", f"/{kind}", filters=json.dumps(filters), all="1")
        rows = found["Volumes"] or [] if kind == "volumes" else found
        shown = {row["Names"][0][1:] if "Names" in row else row["Name"] for row in rows}
        assert shown & set(NAMES) == {
            name
            for name, held in zip(NAMES, LABELS, strict=True)
            if (not names or any(in_name(value, name) for value in names))
            and all(labelled(value, held) for value in labels)
        }

    ask()


def test_states(shelf: Api):
    @PROFILE
    @given(status=st.sets(st.sampled_from(["created", "exited", "running", "dead"])), codes=st.sets(st.integers(-1, 4)))
    def ask(status: set[str], codes: set[int]) -> None:
        filters = {"name": ["^pt-"], "status": sorted(status), "exited": sorted(map(str, codes))}
        rows = shelf.ok("GET", "/containers/json", filters=json.dumps(filters), all="1")
        assert {row["Names"][0][1:] for row in rows} == {
            name
            for number, name in enumerate(NAMES)
            if (not status or ("exited" if number % 2 else "created") in status)
            and (not codes or (number % 2 and number in codes))
        }

    ask()


LISTS = ("/containers/json", "/images/json", "/networks", "/volumes", "/events?since=1&until=2", "/system/df")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    ["name", "label", "label!", "status", "id", "since", "before", "until", "dangling", "type", "health", "x"]
)


def test_filters_that_make_no_sense(unharmed: Engine | RemoteEngine):
    @PROFILE
    @given(
        path=st.sampled_from(LISTS),
        filters=st.dictionaries(keys, json_values, max_size=3) | json_values,
        cut=st.integers(0, 40),
    )
    def ask(path: str, filters: Any, cut: int) -> None:
        text = json.dumps(filters)
        answer = unharmed.api("GET", path, filters=text[: len(text) - cut] if cut < 5 else text)
        assert answer.status < (600 if isinstance(unharmed, RemoteEngine) else 500), (path, text, answer)
        assert answer.status < 400 or list(answer.body) == ["message"]

    ask()
