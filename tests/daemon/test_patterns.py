"""Names in filters: equal, or found by an expression of Go's kind."""

import time

import pytest

from pydock_daemon.patterns import among


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("web", True),
        ("eb-", True),
        ("^web-[0-9]+$", True),
        ("^eb", False),
        ("(db|web)-1", True),
        ("web-1", True),
        ("/web-1", True),
        ("*", False),
        ("web-[", False),
        (r"\d$", True),
        ("", True),
    ],
)
def test_a_name(value: str, found: bool):
    assert among([value], "web-1", "/web-1") is found


def test_one_of_several_is_enough_and_none_finds_nothing():
    assert among(["no", "web"], "web-1")
    assert not among([], "web-1")


def test_no_expression_takes_long():
    began = time.monotonic()
    assert not among(["(a*)*(a*)*b"], "a" * 5000)
    assert time.monotonic() - began < 5
