"""Reading of command lines."""

import pytest

from pydock_runtime.arguments import LIST, NUMBER, SWITCH, TEXT, Flag, parse
from pydock_runtime.errors import RuntimeFailure

FLAGS = (
    Flag("detach", SWITCH, "", "d"),
    Flag("bundle", TEXT, "", "b"),
    Flag("env", LIST, "", "e"),
    Flag("size", NUMBER, ""),
)


def test_flags_in_all_their_forms() -> None:
    call = parse(["--detach", "-b", "x", "--env=A=1", "-e", "B", "-size", "-3", "id", "--not", "-f"], FLAGS)
    assert (call.has("detach"), call.text("bundle"), call.list("env"), call.number("size")) == (
        True,
        "x",
        ["A=1", "B"],
        -3,
    )
    assert call.words == ["id", "--not", "-f"]


def test_what_was_not_given_is_empty() -> None:
    call = parse(["--", "--detach"], FLAGS)
    assert (call.has("detach"), call.text("bundle"), call.list("env"), call.number("size")) == (False, "", [], None)
    assert call.id() == "--detach"


def test_a_switch_can_be_turned_off() -> None:
    assert not parse(["--detach=false"], FLAGS).has("detach")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--fly"], "unknown flag --fly"),
        (["--fly=7"], "unknown flag --fly"),
        (["--bundle"], "flag needs an argument: --bundle"),
        (["--size", "big"], "flag --size needs a number: big"),
        (["--detach=maybe"], "not true or false: --detach=maybe"),
    ],
)
def test_what_is_wrong_is_told(argv: list[str], message: str) -> None:
    with pytest.raises(RuntimeFailure, match=message):
        parse(argv, FLAGS)


def test_an_id_is_one_word() -> None:
    for words in ([], ["a", "b"]):
        with pytest.raises(RuntimeFailure, match="requires exactly 1 argument"):
            parse(words, FLAGS).id()
