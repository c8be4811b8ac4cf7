"""Stages that need each other, or what there is not: in BuildKit's words, as dockerd 26 has them."""

import pytest

from pydock_daemon.builder import dockerfile, stages
from pydock_shared.errors import InvalidArgument


def check(text: str, *named: str) -> None:
    made, _ = stages.stages(dockerfile.parse(text, "Dockerfile"), {})
    stages.check(made, stages.needed(made, made[-1]), named)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM x AS a\nCOPY --from=a / /\n", "circular dependency detected on stage: a"),
        ("FROM x\nCOPY --from=0 / /\n", "circular dependency detected on stage: stage-0"),
        ("FROM x AS a\nCOPY --from=c / /\nFROM a AS b\nFROM x AS c\nRUN --mount=from=b,target=/b true\n",
         "circular dependency detected on stage: a"),
        ("FROM x AS a\nCOPY --from=b / /\nFROM x AS b\nFROM a\n",
         'cannot copy from stage "b", it needs to be defined before current stage "a"'),
        ("FROM x\nCOPY --from=1 / /\n", "invalid stage index 1"),
    ],
)  # fmt: skip
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(text)
    assert caught.value.message == message


def test_what_can_be() -> None:
    check("FROM x AS a\nCOPY --from=b / /\nFROM x AS b\n")  # the first is not needed
    check("FROM x AS a\nCOPY --from=a / /\n", "a")  # a context of that name
    steps = "COPY --from=a / /\n" * 3
    check(f"FROM x AS a\nFROM x AS b\n{steps}FROM a\nCOPY --from=b / /\n{steps}")


def test_many_stages_upon_each_other() -> None:
    text = "".join(f"FROM x AS s{n}\nCOPY --from=s{n + 1} / /\n" for n in range(1500))
    check(f"{text}FROM x AS s1500\n")


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        ("FROM x AS", "FROM requires either one or three arguments", 5),
        ("FROM $NOTHING", "base name ($NOTHING) should not be blank", 5),
        ("FROM x AS 1x", 'invalid name for build stage: "1x"', 10),
    ],
)
def test_what_is_no_stage(line: str, message: str, column: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(f"# nothing\n{line}\n")
    told, shown, caret = caught.value.message.splitlines()
    assert told.startswith(f"dockerfile parse error on line 2: {message}")
    assert (shown, caret) == (line, " " * column + "^")
