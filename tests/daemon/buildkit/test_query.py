"""Parameters of POST /build?version=2, as the attributes of the frontend."""

import json

import pytest
from multidict import MultiDict

from pydock_daemon.buildkit import query
from pydock_shared.errors import InvalidArgument, NotSupported


def test_a_solve() -> None:
    request = query.solve(
        MultiDict(
            [
                ("t", "a:1"), ("t", "b"), ("dockerfile", "D"), ("buildargs", '{"X": "1", "Y": null}'),
                ("labels", '{"l": "2"}'),
                ("nocache", "1"), ("pull", "1"), ("extrahosts", "h:1.2.3.4"), ("networkmode", "none"), ("target", "t"),
                ("ulimits", '[{"Name": "core", "Soft": 1, "Hard": 2}]'), ("shmsize", "9"), ("session", "s"),
                ("remote", "client-session"), ("memory", "0"), ("squash", "0"),
            ]
        ),
        "ref",
    )  # fmt: skip
    assert dict(request.FrontendAttrs) == {
        "filename": "D", "target": "t", "build-arg:X": "1", "label:l": "2", "no-cache": "",
        "image-resolve-mode": "pull", "add-hosts": "h=1.2.3.4", "force-network-mode": "none",
        "ulimit": "core=1:2", "shm-size": "9",
    }  # fmt: skip
    assert (request.Ref, request.Session, request.Frontend) == ("ref", "s", "dockerfile.v0")
    assert [(one.Type, dict(one.Attrs)) for one in request.Exporters] == [("moby", {"name": "a:1,b"})]


def test_other_contexts_and_outputs() -> None:
    outputs = json.dumps([{"Type": "tar", "Attrs": {"dest": "x"}}])
    request = query.solve(MultiDict({"remote": "https://x/y.git#z", "outputs": outputs}), "r")
    assert request.FrontendAttrs["context"] == "https://x/y.git#z"
    assert [(one.Type, dict(one.Attrs)) for one in request.Exporters] == [("tar", {"dest": "x"})]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("squash", "1", NotSupported),
        ("memory", "100", NotSupported),
        ("buildargs", "[1]", InvalidArgument),
        ("outputs", "{", InvalidArgument),
        ("outputs", "[1]", InvalidArgument),
    ],
)
def test_what_is_refused(name: str, value: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        query.solve(MultiDict({name: value}), "r")
