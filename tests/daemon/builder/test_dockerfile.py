"""The parser: instructions with their places, and errors that point at what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_daemon.builder.dockerfile import INSTRUCTIONS, parse
from pydock_shared.errors import InvalidArgument


def names(text: str) -> list[tuple[str, str, int]]:
    return [(i.name, i.text, i.line) for i in parse(text).instructions]


def test_comments_continuations_and_lines() -> None:
    text = "# a comment\nFROM x\n\nrun a \\\n  # inside\n\n  b && \\\n  c\nCMD d"
    assert names(text) == [("FROM", "x", 2), ("RUN", "a   b &&   c", 4), ("CMD", "d", 9)]


def test_directives() -> None:
    file = parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM x\nRUN a `\n b\nRUN c\\\n")
    assert file.escape == "`"
    assert [i.text for i in file.instructions] == ["x", "a  b", "c\\"]
    assert parse("FROM x\n# escape=`\n").escape == "\\"


def test_flags_words_and_json() -> None:
    copy, run, cmd = parse(
        'COPY --from=a --chown="1:2" --link x y\nRUN --mount=type=cache,target=/c echo "--x"\nCMD ["a", "b"]'
    ).instructions
    assert copy.flags == (("from", "a"), ("chown", "1:2"), ("link", ""))
    assert (copy.text, run.all("mount"), run.text) == ("x y", ["type=cache,target=/c"], 'echo "--x"')
    assert cmd.words == ("a", "b")
    assert parse("CMD [a, b]").instructions[0].words is None


def test_heredocs() -> None:
    first, second = parse(
        "RUN <<EOF cat <<-'TWO'\none $x\nEOF\n\ttwo\n\tTWO\nCOPY <<a.txt <<b.txt /d/\nA\na.txt\nb.txt\n"
    ).instructions
    assert [(h.name, h.text, h.expand) for h in first.heredocs] == [("EOF", "one $x\n", True), ("TWO", "two\n", False)]
    assert [(h.name, h.text) for h in second.heredocs] == [("a.txt", "A\n"), ("b.txt", "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM x\nRUM y", "line 2: unknown instruction: RUM (did you mean RUN?)\nDockerfile:2:1\nRUM y\n^"),
        ("FROM x\nCOPY --form=a b c", "unknown flag: --form (did you mean from?)\nDockerfile:2:6"),
        ("FROM x\nWORKDIR", "line 2: WORKDIR requires at least one argument"),
        ("FROM x\nRUN <<EOF\nabc", "unterminated heredoc <<EOF"),
        ("# escape=x\nFROM x", "invalid escape token 'x'"),
        ("# escape=`\n# escape=`\nFROM x", "only one escape parser directive"),
        ("", "the Dockerfile (Dockerfile) cannot be empty"),
        ("# only this", "file with no instructions"),
        ("FROM x\0", "NUL bytes"),
    ],
)
def test_errors_point_at_the_place(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert message in caught.value.message


MARKS = ["<<EOF", "EOF", "\n", "\\\n", " ", "# escape=`\n", "[", '"a"', "]", "--from=x", "$", "\t", "'"]
PIECES = st.sampled_from([*INSTRUCTIONS, *MARKS])


@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
def test_it_never_crashes(text: str) -> None:
    try:
        file = parse(text)
    except InvalidArgument:
        return
    assert all(1 <= i.line <= text.count("\n") + 1 and i.name in INSTRUCTIONS for i in file.instructions)


PLAIN = st.sampled_from([name for name in INSTRUCTIONS if name not in ("RUN", "COPY", "ADD")])
REST = st.from_regex(r"[a-z0-9/=.]{1,20}( [a-z0-9/=.]{1,20}){0,3}", fullmatch=True)


@given(st.lists(st.tuples(PLAIN, REST), min_size=1, max_size=8))
def test_what_is_written_is_what_is_read(rows: list[tuple[str, str]]) -> None:
    text = "".join(f"{name.lower()}   {rest}\n" for name, rest in rows)
    assert [(i.name, i.text) for i in parse(text).instructions] == rows
