"""JSON from outside is a value or a ValueError, however it nests."""

import pytest

from pydock_shared import jsontext


@pytest.mark.parametrize("text", ["", "{", "nonsense", b"\xff", "[" * 100_000, '{"a":' * 100_000, "1" * 10_000])
def test_what_is_none(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsontext.parsed(text)


def test_what_it_says() -> None:
    assert jsontext.parsed(b' {"a": [1, null, "\\u00e4"]} ') == {"a": [1, None, "ä"]}
