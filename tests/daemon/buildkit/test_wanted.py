"""Which paths of a context a Dockerfile needs."""

import pytest

from pydock_daemon.builder import dockerfile, stages
from pydock_daemon.buildkit import wanted

KNOWN = {"plain": [], "triggers": ["COPY app /app", "RUN true"]}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("FROM plain\nRUN true", set()),
        ("FROM scratch\nCOPY a ./b/ /c/../d /x/", {"a", "b", "d"}),
        ("FROM plain\nCOPY . /", {""}),
        ("FROM plain\nCOPY --from=plain a /\nADD https://x/y /", set()),
        ('FROM plain\nCOPY ["a b", "c", "/x/"]', {"a b", "c"}),
        ("FROM plain\nCOPY $A/b /", {""}),
        ("FROM plain\nCOPY src/*.c /x/", {"src/*.c"}),
        ("FROM plain\nCOPY <<EOF a /x/\nhi\nEOF\n", {"a"}),
        ("FROM plain\nRUN --mount=target=/m,source=sub/ true", {"sub"}),
        ("FROM plain\nRUN --mount=target=/m true", {""}),
        ("FROM plain\nRUN --mount=type=cache,target=/m --mount=from=plain,target=/n true", set()),
        ("FROM triggers", {"app"}),
        ("FROM triggers AS one\nFROM one\nCOPY b /", {"app", "b"}),
        ("FROM plain AS no\nCOPY a /\nFROM plain\nCOPY b /", {"b"}),
        ("FROM plain AS yes\nCOPY a /\nFROM plain\nCOPY --from=yes b /", {"a"}),
    ],
)
def test_paths(text: str, paths: set[str]) -> None:
    made, _ = stages.stages(dockerfile.parse(text), {})
    assert wanted.paths(stages.needed(made, made[-1]), KNOWN) == paths
