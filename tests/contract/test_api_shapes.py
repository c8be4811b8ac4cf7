"""The answers of the API have the fields and types of Docker's: whatever client reads them, it finds what it looks for.

api_fields.json comes from the API reference and a Docker engine, as extract_fields.py says, and that engine passes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract import scenario
from tests.fixtures.engine import Engine, RemoteEngine

FIELDS = json.loads(Path(__file__).with_name("api_fields.json").read_text())
TYPES: dict[str, dict[str, str]] = FIELDS["types"]
SCALARS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def differences(kind: str, value: Any, where: str) -> Iterator[str]:
    """Yield where a value is not of its type: a missing field, a wrong type, a field that Docker does not have."""
    plain = kind.rstrip("!").rstrip("?")
    if value is None:
        if "?" not in kind and plain != "any":
            yield f"{where} is null, not {plain}"
    elif plain.startswith("[]") or plain.startswith("{}"):
        container: type = list if plain.startswith("[]") else dict
        if not isinstance(value, container):
            yield f"{where} is {value!r}, not {plain}"
            return
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            if item is not None or plain[2] != "?":
                yield from differences(plain[2:].removeprefix("?"), item, f"{where}.{key}")
    elif plain in SCALARS:
        if not isinstance(value, SCALARS[plain]) or (isinstance(value, bool) and plain != "boolean"):
            yield f"{where} is {value!r}, not {plain}"
    elif plain in TYPES:
        yield from _fields(plain, value, where)


def _fields(kind: str, value: Any, where: str) -> Iterator[str]:
    table = TYPES[kind]
    if not isinstance(value, dict):
        yield f"{where} is {value!r}, not {kind}"
        return
    yield from (f"{where}.{field} is missing" for field, of in table.items() if of.endswith("!") and field not in value)
    for field, inner in value.items():
        if field in table:
            yield from differences(table[field], inner, f"{where}.{field}")
        else:
            yield f"{where}.{field} is not in Docker's API"


@pytest.fixture(scope="module")
def answers(daemon: Engine | RemoteEngine) -> scenario.Answers:
    """An answer of each endpoint, in the form that the engine of api_fields.json gave it."""
    return scenario.collect(scenario.Versioned(daemon.socket, FIELDS["version"]))


@pytest.fixture(scope="module")
def newest(daemon: Engine | RemoteEngine) -> scenario.Answers:
    """An answer of each endpoint in its newest form, where some of the older fields are gone."""
    return scenario.collect(daemon.api)


@pytest.mark.root
@pytest.mark.parametrize("endpoint", sorted(FIELDS["answers"]))
def test_an_answer_is_of_dockers_shape(answers: scenario.Answers, endpoint: str) -> None:
    assert list(differences(FIELDS["answers"][endpoint], answers[endpoint], endpoint)) == []


@pytest.mark.root
def test_newer_forms_lose_fields_and_get_none_that_docker_lacks(newest: scenario.Answers) -> None:
    found = [line for key, kind in FIELDS["answers"].items() for line in differences(kind, newest[key], key)]
    assert [line for line in found if not line.endswith(" is missing")] == []


def test_the_comparison_sees_what_is_wrong() -> None:
    table = {"Id": "string!", "Size": "integer", "Names": "[]string?!", "Ports": "{}[]string", "Map": "{}?integer"}
    TYPES["Sample"] = table
    try:
        good = {"Id": "a", "Names": None, "Ports": {"80": ["x"]}, "Map": {"a": None, "b": 1}}
        assert list(differences("Sample", good, "s")) == []
        bad = {"Size": True, "Names": ["a", 1], "Ports": {"80": None}, "Colour": 1}
        assert list(differences("Sample", bad, "s")) == [
            "s.Id is missing",
            "s.Size is True, not integer",
            "s.Names.1 is 1, not string",
            "s.Ports.80 is null, not []string",
            "s.Colour is not in Docker's API",
        ]
    finally:
        del TYPES["Sample"]
