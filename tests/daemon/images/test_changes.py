"""Instructions of --change."""

from typing import Any

import pytest

from pydock_daemon.images.changes import apply
from pydock_shared.errors import InvalidArgument


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ('CMD ["a", "b c"]', {"Cmd": ["a", "b c"]}),
        ("cmd a b", {"Cmd": ["/bin/sh", "-c", "a b"]}),
        ("ENTRYPOINT exec x", {"Entrypoint": ["/bin/sh", "-c", "exec x"]}),
        ("ENV A=1 B='two words'", {"Env": ["A=1", "B=two words"]}),
        ("ENV A two words", {"Env": ["A=two words"]}),
        ("LABEL k=v", {"Labels": {"k": "v"}}),
        ("EXPOSE 80 53/udp 8000-8001", {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}}}),
        ('VOLUME ["/a", "/b"]', {"Volumes": {"/a": {}, "/b": {}}}),
        ("WORKDIR /srv", {"WorkingDir": "/srv"}),
        ("WORKDIR srv", {"WorkingDir": "/srv"}),
        ("USER www-data", {"User": "www-data"}),
        ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
        ("ONBUILD RUN x", {"OnBuild": ["RUN x"]}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        ("HEALTHCHECK CMD ls -l", {"Healthcheck": {"Test": ["CMD-SHELL", "ls -l"]}}),
        (
            'HEALTHCHECK --interval=5s --timeout=1m --start-period=0s --retries=3 CMD ["ls", "-l"]',
            {
                "Healthcheck": {
                    "Test": ["CMD", "ls", "-l"],
                    "Interval": 5 * 10**9,
                    "Timeout": 60 * 10**9,
                    "StartPeriod": 0,
                    "Retries": 3,
                }
            },
        ),
        ("# a comment\n\nUSER a", {"User": "a"}),
    ],
)
def test_one_change(change: str, settings: dict[str, Any]) -> None:
    assert apply({}, [change]) == settings


def test_changes_of_what_is_there() -> None:
    before = {"Env": ["A=1", "B=2"], "Labels": {"x": "y"}, "WorkingDir": "/a"}
    after = apply(before, ["ENV A=9", "LABEL z=1", "WORKDIR b"])
    assert after == {"Env": ["B=2", "A=9"], "Labels": {"x": "y", "z": "1"}, "WorkingDir": "/a/b"}
    assert before["Env"] == ["A=1", "B=2"]


def test_an_entrypoint_takes_the_command_along() -> None:
    before = {"Cmd": ["a"], "Entrypoint": ["b"]}
    assert apply(before, ['ENTRYPOINT ["c"]']) == {"Entrypoint": ["c"]}
    assert apply(before, ['CMD ["d"]', 'ENTRYPOINT ["c"]']) == {"Entrypoint": ["c"], "Cmd": ["d"]}


REFUSED = """
RUN x|FROM y|CMD|EXPOSE x|EXPOSE 70000|EXPOSE 9-8|ENV A|ENV A=1 B|ENV 'A=1|VOLUME []|STOPSIGNAL FOO|ONBUILD FROM x
ONBUILD ONBUILD RUN x|HEALTHCHECK|HEALTHCHECK FOO|HEALTHCHECK CMD|HEALTHCHECK NONE x|HEALTHCHECK --foo=1 CMD x
HEALTHCHECK --interval=x CMD x|HEALTHCHECK --interval=1us CMD x|HEALTHCHECK --retries=-1 CMD x
"""


@pytest.mark.parametrize("change", REFUSED.strip().replace("\n", "|").split("|"))
def test_what_is_refused(change: str) -> None:
    with pytest.raises(InvalidArgument):
        apply({}, [change])
