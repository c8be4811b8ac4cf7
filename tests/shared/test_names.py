"""Ids and names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import names
from pydock_shared.errors import InvalidArgument


def test_ids_are_long_and_their_own() -> None:
    made = {names.new_id() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("[0-9a-f]{64}", id_) for id_ in made)


def test_a_short_id_is_never_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the host name, and programs take a number for an address."""
    drawn = iter([b"\x12" * 32, b"\xab" * 32])
    monkeypatch.setattr(names.os, "urandom", lambda size: next(drawn))
    assert names.new_id() == "ab" * 32


def test_random_names_are_allowed_and_many() -> None:
    made = {names.random_name() for _ in range(200)}
    assert len(made) > 150
    for name in made:
        names.check(name)
        assert re.fullmatch("[a-z]+_[a-z]+[0-9]?", name)


@pytest.mark.parametrize("name", ["web", "w1", "a.b-c_d", "0x", "A-"])
def test_allowed(name: str) -> None:
    names.check(name)
    assert names.valid(name)


@pytest.mark.parametrize("name", ["", "a", "-a", ".a", "_a", "a b", "a/b", "ä1", "web\n"])
def test_refused_in_dockers_words(name: str) -> None:
    assert not names.valid(name)
    with pytest.raises(InvalidArgument) as caught:
        names.check(name)
    assert caught.value.message == (f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")


@given(st.text())
def test_any_text_is_a_name_or_refused(text: str) -> None:
    assert names.valid(text) is bool(re.match(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z", text))
