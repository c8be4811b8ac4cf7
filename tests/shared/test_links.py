"""The syntax of links."""

import pytest

from pydock_shared.errors import InvalidArgument
from pydock_shared.links import parse


@pytest.mark.parametrize(
    ("text", "link"),
    [("web:db", ("web", "db")), ("web", ("web", "web")), ("/web:/app/db", ("web", "db")), ("/web", ("web", "web"))],
)
def test_a_link(text, link):
    assert parse(text) == link


@pytest.mark.parametrize(
    ("text", "message"), [("", "empty string"), ("a:b:c", "bad format for links: a:b:c"), (":b", "bad")]
)
def test_none(text, message):
    with pytest.raises(InvalidArgument, match=message):
        parse(text)
