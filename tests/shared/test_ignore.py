"""Patterns of .dockerignore, by Docker's rules."""

import pytest

from pydock_shared.errors import InvalidArgument
from pydock_shared.ignore import Patterns


@pytest.mark.parametrize(
    ("text", "ignored", "kept"),
    [
        ("a", ["a", "a/b", "a/b/c"], ["b", "b/a", "ab"]),
        ("*.txt", ["x.txt"], ["d/x.txt", "x.txts"]),
        ("**/*.txt", ["x.txt", "d/x.txt", "d/e/x.txt"], ["x.md"]),
        ("*/temp*", ["a/temp", "a/temporary.txt"], ["temp", "a/b/temp"]),
        ("doc?", ["docs", "doc1"], ["doc", "docss"]),
        ("/lead/", ["lead", "lead/x"], ["other/lead"]),
        ("*.md\n!README.md", ["x.md"], ["README.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["x.md", "README-secret.md"], ["README.md"]),
        ("# no\n\n  spaced  ", ["spaced"], ["# no"]),
        ("d/**\n!d/keep", ["d/x"], ["d/keep"]),
        ("[a-c]x\n[^z]y", ["ax", "by"], ["dx", "zy"]),
        ("../x\n.", [], ["x", "y"]),
        ("a\\*b", ["a*b"], ["axb"]),
        ("**", ["anything", "a/b"], []),
    ],
)
def test_what_is_left_out(text: str, ignored: list[str], kept: list[str]) -> None:
    patterns = Patterns(text)
    assert [path for path in ignored if not patterns.ignores(path)] == []
    assert [path for path in kept if patterns.ignores(path)] == []


def test_folders_that_need_not_be_looked_into() -> None:
    assert Patterns("node_modules").ignores_all_of("node_modules")
    assert not Patterns("node_modules\n!node_modules/kept").ignores_all_of("node_modules")
    assert not Patterns("")


@pytest.mark.parametrize("text", ["[", "a[b", "[]x"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidArgument, match="syntax error in pattern"):
        Patterns(text)
