"""Lists of files as clients send them."""

import json

import pytest

from pydock_daemon.builder import listing
from pydock_shared.errors import InvalidArgument


@pytest.mark.parametrize(
    "row",
    [
        ["a", "f", 0o644, 0, 1, "zz"],
        ["a", "f", 0o644, 0, 1, "A" * 64],
        ["a", "x", 0, 0, 0, ""],
        ["", "d", 0, 0, 0, ""],
        ["a\0", "d", 0, 0, 0, ""],
        {"a": 1},
        7,
        ["../..", "d", 0, 0, 0, ""],
        ["a", "d", 0, 0, 0],
        ["a", "d", 0, 0, -1, ""],
        ["a", "d", 0, float("inf"), 0, ""],
    ],
)
def test_a_line_that_is_none(row: object) -> None:
    good = json.dumps(["g", "d", 0, 0, 0, ""])
    with pytest.raises(InvalidArgument, match="invalid context: line 2"):
        listing.nodes(f"{good}\n{json.dumps(row)}\n".encode())


@pytest.mark.parametrize("text", ["[1,2", '["a", "d", 0, 0, 0, ""],["b", "d", 0, 0, 0, ""]', "", "\\"])
def test_lines_that_are_no_json(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid context: line 2"):
        listing.nodes(f'["g", "d", 0, 0, 0, ""]\n{text}\n["g", "d", 0, 0, 0, ""]'.encode())


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST", 1)
    with pytest.raises(InvalidArgument, match="more than 1 files"):
        listing.nodes(b"1\n2\n")
    with pytest.raises(InvalidArgument, match="too long"):
        listing.nodes(b"1" * 70_000)
    assert listing.nodes(b"") == []


def test_paths_stay_inside() -> None:
    made = listing.nodes(b'["../../a//b/../c", "l", 511, 1, 0, "../.."]')
    assert [(node.path, node.kind, node.target) for node in made] == [("a/c", "link", "../..")]
