"""Filters: both forms on the wire, and the flag."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import filters
from pydock_shared.errors import InvalidArgument
from pydock_shared.filters import Filters


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("{}", {}),
        ("null", {}),
        ('{"label": ["a", "b=c"]}', {"label": ["a", "b=c"]}),
        ('{"label": {"a": true, "b=c": true}}', {"label": ["a", "b=c"]}),
        ('{"label": {"a": true, "b": false}}', {"label": ["a"]}),
        ('{"name": null, "id": []}', {"name": [], "id": []}),
        ('{"name": ["x", "x"]}', {"name": ["x"]}),
    ],
)
def test_both_forms(text: str, values: dict[str, list[str]]) -> None:
    assert filters.parse(text) == Filters(values)


@pytest.mark.parametrize(
    "text", ["x", "[]", "3", '{"a": 1}', '{"a": "b"}', '{"a": [1]}', '{"a": {"b": 1}}', "[" * 99999]
)
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter"):
        filters.parse(text)


def test_an_unknown_key_is_refused_by_name() -> None:
    found = filters.parse('{"label": ["a"], "colour": ["red"]}')
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        found.check_known({"label", "name"})
    found.check_known({"label", "colour"})


@pytest.mark.parametrize(
    ("values", "answer"), [([], None), (["1"], True), (["true"], True), (["0"], False), (["false", "0"], False)]
)
def test_yes_or_no(values: list[str], answer: bool | None) -> None:
    assert Filters({"dangling": values} if values else {}).flag("dangling") is answer


@pytest.mark.parametrize("values", [["maybe"], ["true", "false"], []])
def test_neither_yes_nor_no(values: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'dangling="):
        Filters({"dangling": values}).flag("dangling")


@pytest.mark.parametrize(
    ("asked", "matches"),
    [
        ([], True),
        (["a"], True),
        (["a=1"], True),
        (["a=1", "b"], True),
        (["b="], True),
        (["a=2"], False),
        (["c"], False),
        (["a=1", "c"], False),
        (["eq=x=y"], True),
    ],
)
def test_every_label_asked_for_must_be_there(asked: list[str], matches: bool) -> None:
    assert Filters({"label": asked}).match_labels({"a": "1", "b": "", "eq": "x=y"}) is matches


def test_flags() -> None:
    found = filters.from_flags(["label=a=b", "Label = c", "status=running", ""])
    assert found == Filters({"label": ["a=b", "c"], "status": ["running"]})
    assert found.values("status") == ["running"]
    assert found.values("name") == []
    assert "label" in found
    assert "name" not in found
    with pytest.raises(InvalidArgument, match="should be name=value"):
        filters.from_flags(["label"])


TABLES = st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), min_size=1, max_size=3), max_size=3)


@given(TABLES)
def test_what_is_sent_is_what_is_read(values: dict[str, list[str]]) -> None:
    asked = Filters(values)
    assert filters.parse(asked.encode()) == asked
    assert filters.parse(json.dumps(values)) == asked


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(JSON.map(json.dumps) | st.text())
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        filters.parse(text)
